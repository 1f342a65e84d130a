"""The thread that looks at what runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampler_threads import samplers
from smartsim.app.sampling import Pace, Sampler, Samples
from smartsim.domain import record
from smartsim.domain.errors import TelemetryError
from smartsim.domain.metrics import JobsSampled
from smartsim.ports.event_log import Record
from smartsim.testing import InMemoryEventLog, VirtualClock
from waiting import wait_until

pytestmark = pytest.mark.usefixtures("earlier_samplers")
WEEK = 7 * 86400


@dataclass(eq=False)
class Played:
    """Something that is there or not, and can fail."""

    there: bool = True
    error: Exception | None = None
    looks: int = 0

    def has_any(self) -> bool:
        return self.there

    def sample(self) -> Iterator[record.Event]:
        self.looks += 1
        if self.error is not None:
            raise self.error
        yield JobsSampled(float(self.looks))


@dataclass
class Taken:
    samples: list[Sequence[record.Event]] = field(default_factory=list)

    def take(self, samples: Sequence[record.Event]) -> None:
        self.samples.append(samples)


def test_the_thread_ends_when_nothing_is_left_and_starts_anew() -> None:
    source, taken = Played(), Taken()
    sampler = Sampler([source], taken.take, interval=0.001)
    sampler.start()
    sampler.start()
    assert len(samplers()) == 1
    wait_until(lambda: len(taken.samples) >= 3, "nothing was sampled")
    source.there = False
    wait_until(lambda: samplers() == [], "the thread did not end")
    before = len(taken.samples)
    sampler.start()
    assert samplers() == []
    source.there = True
    sampler.start()
    wait_until(lambda: len(taken.samples) >= before + 3, "nothing was sampled again")
    sampler.close()
    assert samplers() == []
    sampler.start()
    assert samplers() == []


def test_others_are_told_at_each_start_and_before_each_look() -> None:
    told: list[int] = []
    taken, source = Taken(), Played(there=False)
    sampler = Sampler([source], taken.take, 0.001, lambda: told.append(len(taken.samples)))
    sampler.start()
    assert told == [0]  # by the thread that starts something: the driver may end at once
    source.there = True
    sampler.start()
    assert told[:2] == [0, 0]
    wait_until(lambda: len(taken.samples) >= 3, "nothing was sampled")
    sampler.close()
    assert told[:5] == [0, 0, 0, 1, 2]


def test_that_others_cannot_be_told_does_no_harm() -> None:
    def fail() -> None:
        raise OSError("the disk is full")

    taken = Taken()
    sampler = Sampler([Played()], taken.take, 0.001, fail)
    sampler.start()
    wait_until(lambda: len(taken.samples) >= 2, "nothing was sampled")
    sampler.close()


def test_a_thread_that_waits_ends_at_once() -> None:
    taken = Taken()
    sampler = Sampler([Played()], taken.take, interval=600)
    sampler.start()
    wait_until(lambda: bool(taken.samples), "nothing was sampled")
    sampler.close()
    assert samplers() == []


def test_samples_of_one_time_are_taken_together() -> None:
    taken = Taken()
    sampler = Sampler([Played(), Played(there=False), Played()], taken.take, interval=600)
    sampler.start()
    wait_until(lambda: bool(taken.samples), "nothing was sampled")
    sampler.close()
    assert len(taken.samples[0]) == 3


def test_something_that_fails_does_not_keep_others_from_being_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    broken, sound, taken = Played(error=RuntimeError("it is broken")), Played(), Taken()
    sampler = Sampler([broken, sound], taken.take, interval=0.001)
    sampler.start()
    wait_until(lambda: broken.looks >= 3 and sound.looks >= 3, "it gave up")
    broken.error = None
    wait_until(lambda: any(len(samples) == 2 for samples in taken.samples), "it did not go on")
    sampler.close()
    assert capsys.readouterr().out.count("it is broken") == 1


def test_something_of_which_nobody_can_tell_whether_it_is_there_does_no_harm(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Unknown(Played):
        def has_any(self) -> bool:
            if self.error is not None:
                raise self.error
            return super().has_any()

    source, taken = Unknown(error=RuntimeError("it is broken")), Taken()
    sampler = Sampler([source], taken.take, interval=0.001)
    sampler.start()
    assert samplers() == []
    assert "it is broken" in capsys.readouterr().out
    source.error = None
    sampler.start()
    wait_until(lambda: bool(taken.samples), "nothing was sampled")
    sampler.close()


class FullDisk(InMemoryEventLog):
    def append(self, records: Sequence[Record]) -> None:
        raise TelemetryError(f"Cannot record {len(records)} events: No space left on device")


def test_samples_that_cannot_be_written_are_told_of_once(capsys: pytest.CaptureFixture[str]) -> None:
    samples = Samples(FullDisk(), VirtualClock())
    for _ in range(3):
        samples.take([JobsSampled(1.0)])
    assert capsys.readouterr().out.count("No space left on device. Jobs and databases go on") == 1


def test_samples_are_lines_of_a_record() -> None:
    log, exported = InMemoryEventLog(), Taken()
    Samples(log, VirtualClock(), exported.take).take([JobsSampled(1.0)])
    (line,) = log.replay()
    assert (line["version"], line["event"], line["at"]) == (1, "jobs_sampled", 1.0)
    assert exported.samples == [[JobsSampled(1.0)]]


@pytest.mark.parametrize(("interval", "longest"), [(5, 60), (5, 300), (600, 60)])
def test_what_runs_for_a_week_has_some_thousand_samples(interval: int, longest: int) -> None:
    pace = Pace(began=0.0, interval=interval, longest=longest)
    times = [now for now in range(0, WEEK, interval) if pace.is_due(now)]
    assert times[:3] == [0, interval, 2 * interval]
    assert max(late - early for early, late in pairwise(times)) <= max(interval, longest)
    assert len(times) <= WEEK / longest + 1000


@given(st.lists(st.floats(0.8, 1.2), min_size=1, max_size=50))
def test_looks_that_come_early_or_late_all_count_at_first(steps: list[float]) -> None:
    pace, now = Pace(began=0.0, interval=1.0, longest=60.0), 0.0
    assert pace.is_due(now)
    for step in steps:
        now += step
        assert pace.is_due(now)
