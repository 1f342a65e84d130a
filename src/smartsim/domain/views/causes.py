"""Kinds of failure: what they are known by, what they are called, and what to do."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cause:
    """A kind of failure.

    Args:
        pattern: by which it is known; what its first group finds stands for `{}` in the others.
        headline: what happened.
        next_step: what to do.
    """

    pattern: re.Pattern[str]
    headline: str
    next_step: str


_MORE_MEMORY = (
    "Ask for more memory (with Slurm: --mem or --mem-per-cpu), put fewer tasks on a node, or make the problem smaller."
)
_MORE_TIME = (
    "Ask for more time (set_walltime, or the scheduler's option), or have the program write checkpoints to go on from."
)
_PROGRAM = (
    "Give the full path of the program, or load its module before; on other nodes it has to be installed, too. "
    "`which` on the node tells what is found there."
)
_DEBUGGER = (
    "Build it with -g and run it in a debugger, or keep its core file (ulimit -c unlimited). If it fails at its very "
    "beginning, the stack may be too small (ulimit -s unlimited)."
)


def _cause(pattern: str, headline: str, next_step: str) -> Cause:
    return Cause(re.compile(pattern, re.IGNORECASE | re.MULTILINE), headline, next_step)


# Recorded by schedulers, launchers and this package; `adapters.wlm` has the words.
REASONS = (
    _cause(r"out of memory", "it ran out of memory", _MORE_MEMORY),
    _cause(r"CPU time limit", "it used more CPU time than it may", _MORE_TIME),
    _cause(r"time limit|walltime", "its time was over", _MORE_TIME),
    _cause(r"\bdeadline\b", "its deadline was over", _MORE_TIME),
    _cause(
        r"node failure",
        "a node failed",
        "Start it again: the program is not to blame. If the same node fails again, leave it out, and tell the site.",
    ),
    _cause(
        r"preempted|higher priority",
        "it had to make room for another job",
        "Start it again; in another queue, or with checkpoints, if this happens often.",
    ),
    _cause(r"(there is no program .+?)(?::|$)", "{}", _PROGRAM),
    _cause(r"(\S+ may not be executed)", "{}", "Make it executable (chmod +x), or start it by its interpreter."),
    _cause(
        r"its working directory (\S+) does not exist",
        "its directory {} does not exist",
        "Generate the entity before it is started (exp.generate), or correct its path.",
    ),
)

# What programs, their libraries and launchers say themselves; the first that is found counts.
OUTPUTS = (
    _cause(
        r"^ModuleNotFoundError: No module named ['\"]([^'\"]+)",
        "Python has no module {}",
        "Install {} into the environment of the Python that runs it (python -m pip install), or activate the right "
        "environment before; see the command line for which Python that is.",
    ),
    _cause(
        r"DUE TO TIME LIMIT|walltime .*exceeded|TERM_RUNLIMIT",
        "its time was over",
        _MORE_TIME,
    ),
    _cause(
        r"CUDA(?: error)?:? out of memory|torch\.(?:cuda\.)?OutOfMemoryError",
        "the GPU had no memory left",
        "Make batches smaller, or give each task a GPU of its own. `nvidia-smi` shows who uses its memory.",
    ),
    _cause(
        r"oom[-_]kill|out of memory|^MemoryError|std::bad_alloc|cannot allocate memory|exceeded (?:job )?memory limit",
        "it ran out of memory",
        _MORE_MEMORY,
    ),
    _cause(
        r"no space left on device|disk quota exceeded",
        "the disk is full",
        "Make room, or write to another file system: `df -h` and `quota -s` tell which one is full.",
    ),
    _cause(
        r"RedisConnectionError|could not connect to (?:orchestrator|(?:the )?(?:redis|database))|SSDB.* not set",
        "it could not connect to the database",
        "See whether the database runs, and is started before (`smart ps`, or the databases of this experiment), and "
        "whether its network (create_database(interface=...)) can be reached from the node.",
    ),
    _cause(
        r"CUDA error: ?(.*)|(?:no CUDA-capable device|CUDA driver .*)",
        "a GPU could not be used ({})",
        "See whether the job has a GPU (`nvidia-smi` on its node), and whether driver and CUDA fit together.",
    ),
    _cause(
        r"error while loading shared libraries: (\S+?):|^ImportError: (?:lib\S+)|undefined symbol",
        "a library could not be loaded ({})",
        "Load the module that has the library, or add its directory to LD_LIBRARY_PATH (env_vars of the settings).",
    ),
    _cause(
        r"not enough slots",
        "MPI was asked for more tasks than it has places",
        "Ask for fewer tasks or more nodes, or let mpirun put several on a core (--oversubscribe).",
    ),
    _cause(
        r"(?:^|: )(?:\d+: )?(\S+): (?:command )?not found$|execv\w*(?:\(\))?:? (\S+): no such file",
        "a program was not found ({})",
        _PROGRAM,
    ),
    _cause(
        r"permission denied(?:: ['\"]?(\S+?)['\"]?)?$",
        "something was forbidden ({})",
        "Check the permissions of the program and of its files: a program has to be executable (chmod +x).",
    ),
    _cause(
        r"MPI_ABORT",
        "one of its ranks called MPI_Abort",
        "Look for what that rank wrote before: the first error tells more than the end of the others.",
    ),
    _cause(
        r"^FileNotFoundError: .*: ['\"]?(.+?)['\"]?$|cannot open (\S+)|"
        r"no such file or directory(?:: ['\"]?(.+?)['\"]?)?$",
        "a file is missing ({})",
        "Attach it (attach_generator_files), or give its full path: a program works in the directory of its entity.",
    ),
)

SIGNALS: Mapping[int, tuple[str, str]] = {
    signal.SIGHUP: ("its session ended", "Start it again, with a driver that lives as long as it does."),
    signal.SIGINT: ("somebody interrupted it, as Ctrl-C does", ""),
    signal.SIGILL: (
        "it ran an instruction that this CPU does not have",
        "Build it for the CPUs of these nodes (without -march=native of another machine).",
    ),
    signal.SIGABRT: (
        "it gave itself up: an assertion or abort(), or an exception in C++ that nobody caught",
        "Its last lines most often say which.",
    ),
    signal.SIGBUS: (
        "it used memory that could not be had, as when /dev/shm is full or a mapped file was cut",
        "See whether /dev/shm or the disk was full (df -h), and whether a file that it maps is whole.",
    ),
    signal.SIGFPE: ("it divided by zero, or the like", "Look at its input, and build it with -g to see where."),
    signal.SIGKILL: (
        "it was killed: by the system when memory ran out, by a scheduler, or by a person",
        f"If nobody killed it, memory most likely ran out (`dmesg` on its node tells). {_MORE_MEMORY}",
    ),
    signal.SIGSEGV: ("it used memory that is not its own, through a bad pointer or index", _DEBUGGER),
    signal.SIGPIPE: ("whoever read its output had gone", "See what became of the program that it wrote to."),
    signal.SIGTERM: (
        "it was asked to end, by a scheduler or a person",
        "See whether its time was over, or somebody cancelled its job; then start it again.",
    ),
    signal.SIGXCPU: ("it used more CPU time than it may", _MORE_TIME),
    signal.SIGXFSZ: ("it wrote a larger file than it may", "Raise the limit (ulimit -f)."),
}
CODES: Mapping[int, tuple[str, str]] = {
    2: ("programs often mean by it that their arguments make no sense", ""),
    126: (
        "a shell found the program, and could not execute it",
        "Make it executable (chmod +x), and see whether it was built for this kind of machine.",
    ),
    127: ("a shell did not find the program, or the program a library", _PROGRAM),
}
