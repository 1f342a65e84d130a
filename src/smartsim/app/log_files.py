"""What the jobs of an experiment wrote: parts of files that may be of any size."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.domain import record
from smartsim.domain.errors import EntityNotFoundError
from smartsim.domain.status import SmartSimStatus
from smartsim.domain.views.log_text import ERROR, last_lines, may_have_error, shown, whole
from smartsim.domain.views.table import Query, members

if TYPE_CHECKING:
    from smartsim.app.reading import ExperimentReader
    from smartsim.domain.history import History, JobHistory
    from smartsim.ports.file_system import FileReader

_CHUNK = 1 << 16  # bytes
_BLOCK = 1 << 20  # bytes that are searched at a time
_OVERLAP = 512  # bytes that are searched again, where a line is longer than a block
_SEARCHED = 64 << 20  # bytes, by one call
_FOUND = 100  # lines, by one call
_LONGEST_LINE = 500  # bytes of one that are shown
_MERGED_LINES, _MERGED_BYTES = 20, 4096  # of the end of each file
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class LogChunk:
    """A part of a file, as text that can be shown.

    Args:
        offset: of its first byte.
        end: of the byte behind it: where to go on.
        size: of the file, in bytes.
        text: what is there; what is no UTF-8, and what would control a terminal, as escapes.
        exists: whether the file is there.
    """

    offset: int
    end: int
    size: int
    text: str
    exists: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """A line of a file.

    Args:
        offset: of its first byte.
        line_number: counts from 1; None when the search did not begin at the start of the file.
        line: its text, cut if it is long.
    """

    offset: int
    line_number: int | None
    line: str


@dataclass(frozen=True, slots=True)
class Search:
    """What was found.

    Args:
        found: lines, in their order.
        next: the offset at which to go on; None when the end of the file was reached.
    """

    found: tuple[Found, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class MergedErrors:
    """The last lines of errors that several entities wrote alike, but for numbers and their own names.

    Args:
        entities: who wrote them.
        lines: as the first of them wrote them.
    """

    entities: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file of an entity that can be looked at.

    Args:
        name: "stdout", "stderr"; "script", "batch_stdout", "batch_stderr" of its batch job; or the name of a log beside
            a server.
        path: of the file, as recorded.
    """

    name: str
    path: str


class LogFiles:
    """The files that the jobs of an experiment wrote, as far as its record names them; no others are read.

    Paths are as recorded: relative to the directory of the experiment, so that those of a copy are found.

    What reads files takes no history, and may be used while another thread has the reader: files can be slow.

    Args:
        reader: of the experiment.
        files: has them; None for those of this machine.
    """

    def __init__(self, reader: ExperimentReader, files: FileReader | None = None) -> None:
        self._reader = reader
        self._files = PosixFileSystem() if files is None else files
        self._named: tuple[int, set[str]] = (-1, set())  # a revision of the record, and what it named then

    def of(self, job: JobHistory) -> tuple[LogFile, ...]:
        """Return the files of one start of an entity."""
        return (*_named(job), *self._beside(job))

    def chunk(self, path: str, offset: int, limit: int = _CHUNK) -> LogChunk:
        """Return a part of a file; nothing when the file does not exist yet, or ends before.

        Args:
            path: of the file, as recorded.
            offset: of the first byte.
            limit: the most bytes.

        Raises:
            EntityNotFoundError: the record does not name the file.
            OSError: it cannot be read.
        """
        place = self._place(path)
        try:
            part = self._files.read_range(place, offset, limit)
        except FileNotFoundError:
            return LogChunk(0, 0, 0, "", exists=False)
        content, begin = whole(part.content), min(offset, part.size)
        return LogChunk(begin, begin + len(content), part.size, shown(content))

    def tail(self, path: str, lines: int = 200, limit: int = _CHUNK) -> LogChunk:
        """Return the last lines of a file; nothing when it does not exist yet.

        Args:
            path: of the file, as recorded.
            lines: how many, at most.
            limit: the most bytes.

        Raises:
            EntityNotFoundError: the record does not name the file.
            OSError: it cannot be read.
        """
        return self._tail(self._place(path), lines, limit)

    def search(self, path: str, text: str, start: int = 0) -> Search:
        """Return lines that have a text, in upper or lower case. A large file takes several calls.

        Args:
            path: of the file, as recorded.
            text: what is looked for; not empty.
            start: the offset at which to begin.

        Raises:
            EntityNotFoundError: the record does not name the file.
            OSError: it cannot be read.
        """
        wanted = text.encode("utf-8", "surrogateescape")
        pattern, lowered = re.compile(re.escape(wanted), re.IGNORECASE), wanted.lower()
        # The pattern alone takes seven times as long where nothing is found.
        return self._search(self._place(path), pattern, lambda block: lowered in block.lower(), start, _FOUND)

    def first_error(self, path: str) -> Found | None:
        """Return the first line that looks like an error, of the first 64 MiB of a file; None without one.

        Args:
            path: of the file, as recorded.

        Raises:
            EntityNotFoundError: the record does not name the file.
            OSError: it cannot be read.
        """
        return next(iter(self._search(self._place(path), ERROR, may_have_error, 0, 1).found), None)

    def merged_errors(self, starts: Iterable[record.Submitted]) -> tuple[MergedErrors, ...]:
        """Return the last lines of the errors of some starts, those alike together, the most frequent first.

        Args:
            starts: such as `errors_of` returns them.
        """
        merged: dict[str, MergedErrors] = {}
        for start in starts:
            entity = start.entity
            try:
                place = record.absolute(start.stderr, self._reader.directory)
                text = self._tail(place, _MERGED_LINES, _MERGED_BYTES).text.strip()
            except OSError:
                continue
            if text:
                alike = _NUMBER.sub("0", text.replace(entity, ""))
                known = merged.get(alike, MergedErrors((), tuple(text.split("\n"))))
                merged[alike] = MergedErrors((*known.entities, entity), known.lines)
        return tuple(sorted(merged.values(), key=lambda errors: len(errors.entities), reverse=True))

    def _place(self, path: str) -> str:
        """Return where a file is that the record names.

        Raises:
            EntityNotFoundError: it does not name it.
        """
        revision, named = self._named
        if revision != self._reader.revision:
            revision = self._reader.revision  # before the jobs: what comes between has another one
            named = {file.path for job in tuple(self._reader.history.jobs.values()) for file in _named(job)}
            self._named = revision, named
        is_named = path in named
        if not is_named:
            directory = posixpath.dirname(path)
            jobs = tuple(self._reader.history.jobs.values())
            beside = (job for job in jobs if directory in _directories(job))
            is_named = any(path == file.path for job in beside for file in self._beside(job))
        if not is_named:
            raise EntityNotFoundError(f"The record names no file {path!r} that somebody wrote to")
        return record.absolute(path, self._reader.directory)

    def _beside(self, job: JobHistory) -> Iterator[LogFile]:
        """Yield the logs of a server, and of its workers, which no event names."""
        for directory in _directories(job):
            try:
                names = self._files.names(record.absolute(directory, self._reader.directory))
            except OSError:
                continue
            for name in names:
                if name.endswith(".log"):
                    yield LogFile(name, posixpath.join(directory, name))

    def _tail(self, place: str, lines: int, limit: int) -> LogChunk:
        try:
            size = self._files.read_range(place, 0, 0).size
            part = self._files.read_range(place, max(0, size - limit), limit)
        except FileNotFoundError:
            return LogChunk(0, 0, 0, "", exists=False)
        begin = max(0, size - limit)
        content = whole(part.content)
        end = begin + len(content)
        if begin and b"\n" in content[:-1]:
            content = content[content.index(b"\n") + 1 :]
        content = last_lines(content, lines)
        return LogChunk(end - len(content), end, part.size, shown(content))

    def _search(
        self, place: str, pattern: re.Pattern[bytes], may_have: Callable[[bytes], bool], start: int, most: int
    ) -> Search:
        found: list[Found] = []
        offset, number = start, None if start else 1
        while offset < start + _SEARCHED:
            try:
                block = self._files.read_range(place, offset, _BLOCK).content
            except FileNotFoundError:
                return Search((), None)
            is_last = len(block) < _BLOCK
            end = len(block) if is_last else block.rfind(b"\n") + 1 or len(block) - _OVERLAP
            lines = _lines(block, pattern, end) if may_have(block) else ()
            for begin, line_end in lines:
                count = None if number is None else number + block.count(b"\n", 0, begin)
                found.append(Found(offset + begin, count, shown(whole(block[begin:line_end][:_LONGEST_LINE]))))
                if len(found) == most:
                    after = line_end + 1
                    return Search(tuple(found), None if is_last and after >= len(block) else offset + after)
            if is_last:
                return Search(tuple(found), None)
            number = None if number is None else number + block.count(b"\n", 0, end)
            offset += end
        return Search(tuple(found), offset)


def errors_of(history: History, group: str, limit: int = 1000) -> Sequence[record.Submitted]:
    """Return the starts of a group's members that have a file of errors, those that failed first.

    Args:
        history: of the experiment.
        group: an ensemble, a database or `table.MODELS`; empty for all.
        limit: the most of them.
    """
    jobs = sorted(members(history, Query(group=group)), key=_has_not_failed)
    return [job.facts for job in jobs if job.facts.stderr][:limit]


def _lines(block: bytes, pattern: re.Pattern[bytes], end: int) -> Iterator[tuple[int, int]]:
    """Yield where the lines begin and end in which a pattern is found before some place."""
    place = 0
    while (match := pattern.search(block, place)) is not None and match.start() < end:
        begin = block.rfind(b"\n", 0, match.start()) + 1
        line_end = block.find(b"\n", match.end())
        line_end = len(block) if line_end < 0 else line_end
        yield begin, line_end
        place = line_end + 1


def _named(job: JobHistory) -> Iterator[LogFile]:
    """Yield the files of a start that the record names."""
    facts = job.facts
    for name, path in (("stdout", facts.stdout), ("stderr", facts.stderr), ("script", facts.batch_script)):
        if path:
            yield LogFile(name, path)
    if facts.batch_script:  # what it writes itself lies beside it
        base = facts.batch_script.removesuffix(".sh")
        yield LogFile("batch_stdout", f"{base}.batch.out")
        yield LogFile("batch_stderr", f"{base}.batch.err")


def _directories(job: JobHistory) -> tuple[str, ...]:
    """Return where the logs of a server are, and of one beside an application."""
    facts = job.facts
    if facts.database:
        return (facts.directory,)
    own = posixpath.join(posixpath.dirname(facts.stdout), "colocated")
    return (facts.directory, own) if facts.colocated else ()


def _has_not_failed(job: JobHistory) -> bool:
    return job.status is not SmartSimStatus.STATUS_FAILED
