"""The record of what happened in an experiment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias

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
