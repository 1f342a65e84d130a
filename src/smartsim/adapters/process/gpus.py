"""What `nvidia-smi` says that processes use of GPUs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smartsim.domain.errors import ShellError

if TYPE_CHECKING:
    from smartsim.ports.process_runner import ProcessRunner

_PROGRAM = "nvidia-smi"
_DEADLINE = 5.0  # seconds; it may wait for a driver that wakes up
_INTERVAL = 15.0  # seconds from one question to the next: each starts a program
_MIB = 2**20


@dataclass(frozen=True)
class GpuUsage:
    """What a process uses of GPUs.

    Args:
        memory: bytes that it has.
        utilization: of the GPUs on which it is, from 0 to 1, the mean.
    """

    memory: int
    utilization: float


class NvidiaGpus:
    """Asks the program of the driver, one question for all GPUs and processes. After a failure it asks no more.

    Args:
        runner: runs it.
        program: where it is.
        monotonic: tells the seconds.
    """

    def __init__(self, runner: ProcessRunner, program: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._runner = runner
        self._program = program
        self._monotonic = monotonic
        self._asked_at = float("-inf")
        self._known: Mapping[int, GpuUsage] = {}
        self._failed = False

    @classmethod
    def find(cls, runner: ProcessRunner) -> NvidiaGpus | None:
        """Return what asks this machine's; None when it has none."""
        program = runner.find(_PROGRAM)
        return None if program is None else cls(runner, program)

    def usage(self) -> Mapping[int, GpuUsage]:
        """Return what processes use, by their ids, at the moment or some seconds ago."""
        now = self._monotonic()
        if not self._failed and now - self._asked_at >= _INTERVAL:
            self._asked_at = now
            from xml.etree.ElementTree import ParseError

            try:
                answer = self._runner.run([self._program, "-q", "-x"], _DEADLINE)
                self._failed = answer.returncode != 0
                self._known = {} if self._failed else parse(answer.stdout)
            except (ShellError, ParseError):
                self._failed, self._known = True, {}
        return self._known


def parse(answer: str) -> dict[int, GpuUsage]:
    """Return what processes use, by their ids, given what ``nvidia-smi -q -x`` answers.

    Example:
        >>> parse(
        ...     "<nvidia_smi_log><gpu><utilization><gpu_util>30 %</gpu_util></utilization><processes><process_info>"
        ...     "<pid>7</pid><used_memory>2 MiB</used_memory></process_info></processes></gpu></nvidia_smi_log>"
        ... )
        {7: GpuUsage(memory=2097152, utilization=0.3)}
    """
    from xml.etree import ElementTree as ET

    memory: dict[int, int] = {}
    utilization: dict[int, list[float]] = {}
    for gpu in ET.fromstring(answer).iter("gpu"):  # noqa: S314 - the driver's own program wrote it
        share = _number(gpu.findtext("utilization/gpu_util")) / 100
        for process in gpu.iter("process_info"):
            pid = _number(process.findtext("pid"))
            memory[pid] = memory.get(pid, 0) + _number(process.findtext("used_memory")) * _MIB
            utilization.setdefault(pid, []).append(share)
    return {pid: GpuUsage(memory[pid], sum(shares) / len(shares)) for pid, shares in utilization.items()}


def _number(text: str | None) -> int:
    """Return the number at the beginning of a text such as "30 %"; 0 for "N/A"."""
    first = (text or "").split(" ", 1)[0]
    return int(first) if first.isdigit() else 0
