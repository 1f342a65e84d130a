"""An event log in an SQLite database, and a bill made from it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing

from smartsim.embedding import Record
from smartsim.error.errors import TelemetryError

_TABLE = "CREATE TABLE IF NOT EXISTS events (user TEXT, at REAL, event TEXT, step TEXT, record TEXT)"
_BILL = """
    SELECT json_extract(ended.record, '$.entity'), ended.at - started.at
    FROM events AS started JOIN events AS ended USING (user, step)
    WHERE user = ? AND started.event = 'started' AND ended.event = 'ended'
    ORDER BY started.at
"""


class SqliteEventLog:
    """The records of one user, in a table that holds those of all.

    Args:
        path: the database; made when it is missing.
        user: whose records they are.
    """

    def __init__(self, path: str, user: str) -> None:
        self._path = path
        self._user = user

    def append(self, records: Sequence[Record]) -> None:
        """Add records, all or none.

        Raises:
            TelemetryError: the database refuses.
        """
        rows = [
            (self._user, record["at"], record["event"], record.get("step"), json.dumps(record)) for record in records
        ]
        try:
            # A connection each time: records come from several threads.
            with closing(sqlite3.connect(self._path)) as connection, connection:
                connection.execute(_TABLE)
                connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise TelemetryError(f"Cannot record events in {self._path}: {error}") from error

    def replay(self) -> Iterator[Record]:
        """Return the user's records from the first to the last."""
        with closing(sqlite3.connect(self._path)) as connection:
            connection.execute(_TABLE)
            rows = connection.execute("SELECT record FROM events WHERE user = ? ORDER BY rowid", (self._user,))
            for (record,) in rows:
                yield json.loads(record)

    def bill(self) -> list[tuple[str, float]]:
        """Return what the user ran and for how many seconds, in the order of the starts."""
        with closing(sqlite3.connect(self._path)) as connection:
            connection.execute(_TABLE)
            return connection.execute(_BILL, (self._user,)).fetchall()
