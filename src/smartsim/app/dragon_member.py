"""A step of a batch job in the Dragon runtime of the job: ``python -m smartsim.app.dragon_member``.

It is told the name of the step, its two output files, its options, ``--`` and its command. The first such process of a
job starts the runtime. Each ends as its step does; asked to end, it asks the step, which does not outlive it.
"""

from __future__ import annotations

import os
import signal
import sys
from queue import SimpleQueue

from smartsim.adapters.clock.system import SystemClock
from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.adapters.network.system import SystemNetwork
from smartsim.adapters.process.subprocess import SubprocessRunner
from smartsim.adapters.wlm.dragon.manager import RANKS
from smartsim.app.workload_managers import dragon_manager
from smartsim.domain.lifecycle import Ended, JobEvent, Refused
from smartsim.domain.steps import Step

_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGXCPU)
_OTHERS = (signal.SIGUSR1, signal.SIGUSR2)  # which mean nothing to a runtime, and are not to end this process
_WITHOUT_END = 1e6  # seconds: who asks this process to end also forces it


def main() -> None:
    """Run the step that the words of the command line describe."""
    name, stdout, stderr, *words = sys.argv[1:]
    mark = words.index("--")
    directory = os.getcwd()
    step = Step(name, tuple(words[mark + 1 :]), tuple(words[:mark]), {}, directory, stdout, stderr, ranks=RANKS)
    manager, _ = dragon_manager(
        PosixFileSystem(),
        SystemClock(),
        SubprocessRunner(),
        os.environ,
        SystemNetwork().hostname(),
        directory,
        leaves_steps=False,
    )
    news: SimpleQueue[JobEvent | signal.Signals] = SimpleQueue()
    for number in (*_ENDING, *_OTHERS):
        signal.signal(number, lambda number, _: news.put(signal.Signals(number)))
    manager.submit([step], lambda _, event: news.put(event))
    while True:
        match news.get():
            case Refused(error=error):
                returncode, reason = 1, str(error)
                break
            case Ended(returncode=code, reason=reason):
                returncode = _as_a_shell(code)
                break
            case signal.Signals() as number if number in _ENDING:
                manager.stop([name], _WITHOUT_END)
    manager.close()
    if reason:
        sys.stderr.write(f"{reason}\n")
    sys.exit(returncode)


def _as_a_shell(returncode: int | None) -> int:
    """Return an exit code as a shell tells it; one that nobody knows is a failure."""
    if returncode is None:
        return 1
    return returncode if returncode >= 0 else 128 - returncode


if __name__ == "__main__":
    main()
