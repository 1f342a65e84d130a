"""What every process meter does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from smartsim.adapters.process.scripted import ScriptedProcessMeter
from smartsim.adapters.process.usage import ProcMeter
from smartsim.ports.process_meter import ProcessMeter, ProcessUsage


@dataclass
class Site:
    """Two trees of processes that run."""

    meter: ProcessMeter
    roots: tuple[int, int]


@pytest.fixture(params=["proc", "scripted"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    if request.param == "scripted":
        usage = ProcessUsage(cpu_seconds=1.0, memory=4096, processes=1)
        yield Site(ScriptedProcessMeter({7: usage, 8: usage}), (7, 8))
        return
    command = [sys.executable, "-S", "-c", "print('here', flush=True); input()"]
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(command, stdin=pipe, stdout=pipe) as first,
        subprocess.Popen(command, stdin=pipe, stdout=pipe) as second,
    ):
        for process in (first, second):
            assert process.stdout is not None
            assert process.stdout.readline() == b"here\n"
        yield Site(ProcMeter(), (first.pid, second.pid))
        for process in (first, second):
            process.communicate(b"\n", timeout=30)


def test_each_tree_that_was_asked_for_has_its_usage(site: Site) -> None:
    found = site.meter.measure(site.roots)
    assert set(found) == set(site.roots)
    for usage in found.values():
        assert usage.cpu_seconds >= 0
        assert usage.memory > 0
        assert usage.processes == 1
        assert (usage.gpu_memory, usage.gpu_utilization) == (None, None)
    assert set(site.meter.measure(site.roots[:1])) == set(site.roots[:1])


def test_what_does_not_run_uses_nothing(site: Site) -> None:
    assert site.meter.measure([2**22 + 1]) == {}
    assert site.meter.measure([]) == {}
