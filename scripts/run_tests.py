"""Run the whole test-suite in parts side by side, as half of its time is waiting.

    python scripts/run_tests.py

Every folder with tests is a part: its files run in a pytest of their own. What that writes is in build/tests, and shown
when something is wrong. The last line sums all parts up.

Not by pytest-xdist: its workers do not tell of deselected tests, end all when a test logs what is no Unicode, and are
killed ten seconds after Ctrl-C, whatever their tests have still to end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, STDOUT
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

TESTS = Path("tests")
LOGS = Path("build/tests")
PYTEST = str(Path(sys.executable).with_name("pytest"))
# They begin first, so that none ends long after all others.
LONGEST = ["clusters", "e2e", "app", "adapters", "conformance", "old_clients", "browser"]


class Part:
    """The tests of a folder, without those of folders below it.

    Attributes:
        folder: where they are.
        log: the file that has what its pytest writes.
        counts: how many tests have come to which end.
        failed: whether there was anything but success.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = LOGS / f"{'.'.join(folder.parts)}.log"
        self.counts: Counter[str] = Counter()
        self.failed = False

    async def run(self, free: asyncio.Semaphore) -> None:
        """Run it when there is room; when this is cancelled, end it as Ctrl-C does: then it leaves nothing behind."""
        async with free:
            with self.log.open("wb") as log:
                files = sorted(map(str, self.folder.glob("test_*.py")))
                # In a session of its own: it is told once that it is to end, by this process.
                process = await asyncio.create_subprocess_exec(
                    PYTEST, *files, stdin=DEVNULL, stdout=log, stderr=STDOUT, start_new_session=True
                )
            try:
                code = await process.wait()
            except asyncio.CancelledError:
                with contextlib.suppress(ProcessLookupError):  # it has ended
                    process.send_signal(signal.SIGINT)
                    try:
                        await process.wait()
                    finally:
                        process.kill()  # at the second Ctrl-C
                raise
            self._tell(code)

    def _tell(self, code: int) -> None:
        text = self.log.read_text(errors="replace")
        last = text.rstrip().rpartition("\n")[2]
        summary = re.fullmatch(r"=+ (.* in [\d.]+s.*?) =+", last)
        if summary:
            self.counts.update({what: int(number) for number, what in re.findall(r"(\d+) ([a-z]+)", summary[1])})
        self.failed = code != 0 or not summary
        if self.failed or self.counts.keys() != {"passed"}:
            print(text)
        said = summary[1] if summary else "no summary"
        print(f"{self.folder}: {said}" + (f" (exit code {code})" if self.failed else ""), flush=True)


async def run_all(parts: Iterable[Part]) -> None:
    """Run all parts, one more at a time than there are cores; what asks to end is Ctrl-C to it."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, signal.raise_signal, signal.SIGINT)
    free = asyncio.Semaphore(len(os.sched_getaffinity(0)) + 1)
    async with asyncio.TaskGroup() as group:
        for part in parts:
            group.create_task(part.run(free))


def main() -> int:
    """Run all parts and return the exit code."""
    begin = time.monotonic()
    LOGS.mkdir(parents=True, exist_ok=True)
    folders = {file.parent for file in TESTS.rglob("test_*.py")}
    first = [folder for name in LONGEST if (folder := TESTS / name) in folders]
    parts = [Part(folder) for folder in [*first, *sorted(folders.difference(first))]]
    try:
        asyncio.run(run_all(parts))
    except KeyboardInterrupt:
        print("interrupted")
        return 128 + signal.SIGINT
    for part in parts:
        if part.failed:
            print(f"failed: {part.folder}, see {part.log}")
    counts = sum((part.counts for part in parts), Counter[str]())
    print(", ".join(f"{number} {what}" for what, number in counts.items()), f"in {time.monotonic() - begin:.0f} s")
    return any(part.failed for part in parts)


if __name__ == "__main__":
    raise SystemExit(main())
