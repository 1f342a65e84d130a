"""An event log in a list."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from smartsim.ports.event_log import Record


class InMemoryEventLog:
    """Keeps records for the life of the object, as JSON values like any other log.

    Example:
        >>> log = InMemoryEventLog()
        >>> log.append([{"event": "started", "at": 1.5}])
        >>> [record["event"] for record in log.replay()]
        ['started']
    """

    def __init__(self) -> None:
        self._lines: list[str] = []

    def append(self, records: Sequence[Record]) -> None:
        """Add records at the end."""
        self._lines.extend([json.dumps(record) for record in records])

    def replay(self) -> Iterator[Record]:
        """Return the records from the first to the last."""
        for line in list(self._lines):
            yield json.loads(line)
