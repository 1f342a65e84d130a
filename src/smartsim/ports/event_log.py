"""The record of what happened in an experiment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

Record: TypeAlias = Mapping[str, object]
"""One event: JSON values by field name. `domain.record` has the schema; a log keeps whatever it is given."""


class EventLog(Protocol):
    """An append-only log."""

    def append(self, records: Sequence[Record]) -> None:
        """Add records at the end, all or none, in order.

        Raises:
            TelemetryError: they cannot be written.
        """
        ...

    def replay(self) -> Iterator[Record]:
        """Return the records from the first to the last; an unfinished last one is left out."""
        ...


@runtime_checkable
class LineLog(EventLog, Protocol):
    """An event log of JSON lines: it takes records as such, too, which spares a driver half of the work."""

    def append_lines(self, lines: Sequence[str]) -> None:
        """Add records at the end, all or none, in order.

        Args:
            lines: a JSON object each, without the end of the line.

        Raises:
            TelemetryError: they cannot be written.
        """
        ...
