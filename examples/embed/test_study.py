"""Tests of a driver function that start no process and write no file: hours of simulations pass in milliseconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from study import PRESSURES, run_sweep

from smartsim import Experiment
from smartsim.embedding import Adapters, Step
from smartsim.error import SmartSimError
from smartsim.testing import Script, fake_adapters

HOUR = 3600.0


def simulator(fails: Callable[[str, int], bool]) -> tuple[Adapters, Counter[str]]:
    """Return adapters under which `fails(pressure, attempt)` decides what each run does, and a count of the runs."""
    runs: Counter[str] = Counter()

    def script(step: Step) -> Script:
        pressure = step.argv[-1].removeprefix("--pressure=")
        runs[pressure] += 1
        return Script(duration=HOUR, returncode=int(fails(pressure, runs[pressure])))

    return fake_adapters(script), runs


def test_each_pressure_runs_once_when_all_is_well() -> None:
    """Nothing is tried again without need."""
    adapters, runs = simulator(lambda _pressure, _attempt: False)
    assert run_sweep(Experiment("study", "/virtual", adapters=adapters)) == []
    assert runs == Counter(map(str, PRESSURES))


def test_what_fails_is_tried_again_and_nothing_else() -> None:
    """The pressure 5 fails once: two rounds, an hour each."""
    adapters, runs = simulator(lambda pressure, attempt: pressure == "5" and attempt == 1)
    begin = adapters.clock.monotonic()
    assert run_sweep(Experiment("study", "/virtual", adapters=adapters)) == []
    assert runs == Counter({"1": 1, "2": 1, "5": 2, "10": 1})
    assert adapters.clock.monotonic() - begin == 2 * HOUR


def test_what_fails_every_time_is_returned() -> None:
    """The pressure 10 is the last member, and never works."""
    adapters, runs = simulator(lambda pressure, _attempt: pressure == "10")
    exp = Experiment("study", "/virtual", adapters=adapters)
    assert run_sweep(exp) == ["sweep_3"]
    assert runs["10"] == 3
    assert exp.summary().count("STATUS_FAILED") == 3


def test_a_simulation_that_cannot_be_started_is_an_error() -> None:
    """It would fail again: it is not tried again."""
    adapters = fake_adapters(lambda _step: Script(refusal=SmartSimError("no licence for simulate")))
    with pytest.raises(SmartSimError, match="no licence"):
        run_sweep(Experiment("study", "/virtual", adapters=adapters))
