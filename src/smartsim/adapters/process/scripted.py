"""Programs and processes for tests: nothing is started."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping, Sequence

from smartsim.domain.errors import ShellError
from smartsim.ports.process_meter import ProcessUsage
from smartsim.ports.process_runner import Completed


class ScriptedProcessRunner:
    """Programs that exist on paper.

    Args:
        programs: the path of each program, by its name in the search path; by default every one is there, in `/bin`.
        answers: what a command line answers. One of a program that is there, but without an answer here, never ends.

    Example:
        >>> runner = ScriptedProcessRunner(
        ...     {"sinfo": "/usr/bin/sinfo"}, {("sinfo", "--version"): Completed(0, "slurm 22.05.8", "")}
        ... )
        >>> runner.find("sinfo"), runner.run(["sinfo", "--version"], timeout=1).stdout
        ('/usr/bin/sinfo', 'slurm 22.05.8')
    """

    def __init__(
        self,
        programs: Mapping[str, str] | None = None,
        answers: Mapping[tuple[str, ...], Completed] | None = None,
    ) -> None:
        self._programs = None if programs is None else dict(programs)
        self._answers = dict(answers or {})

    def find(self, program: str) -> str | None:
        """Return the path given for a program; a path that was given for one is found as it is."""
        if self._programs is None:
            return posixpath.join("/bin", program) if program else None
        return self._programs.get(program, program if program in self._programs.values() else None)

    def run(self, argv: Sequence[str], timeout: float) -> Completed:
        """Return the answer given for a command line."""
        if self.find(argv[0]) is None:
            raise ShellError(f"Cannot start {argv[0]}", argv, "there is no such program: add it to `programs`")
        if tuple(argv) not in self._answers:
            raise ShellError(f"{argv[0]} did not end within {timeout:g} s and was killed", argv, "add it to `answers`")
        return self._answers[tuple(argv)]


class ScriptedProcessMeter:
    """Processes that exist on paper.

    Args:
        usages: what trees use, by the ids of their roots.

    Example:
        >>> meter = ScriptedProcessMeter({7: ProcessUsage(cpu_seconds=0.5, memory=4096, processes=1)})
        >>> meter.measure([7, 8])
        {7: ProcessUsage(cpu_seconds=0.5, memory=4096, processes=1, gpu_memory=None, gpu_utilization=None)}
    """

    def __init__(self, usages: Mapping[int, ProcessUsage] | None = None) -> None:
        self.usages = dict(usages or {})

    def measure(self, roots: Collection[int]) -> Mapping[int, ProcessUsage]:
        """Return what trees use."""
        return {root: usage for root, usage in self.usages.items() if root in set(roots)}
