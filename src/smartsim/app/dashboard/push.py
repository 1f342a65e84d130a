"""Server push: tells pages that the record has grown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from smartsim.app.dashboard.live import INTERVAL, LiveRecord
from smartsim.app.json_text import encoded
from smartsim.domain.views.overview import overview

_HEART_BEAT = 15.0
_RETRY = 2000  # milliseconds after which a browser comes back


class Push:
    """The stream of `text/event-stream` that each page listens to.

    A listener looks at the record each half second; without listeners nobody looks.

    Args:
        live: the record.
        heart_beat: seconds without a change after which a comment shows that the stream lives.
    """

    def __init__(self, live: LiveRecord, heart_beat: float = _HEART_BEAT) -> None:
        self._live = live
        self._heart_beat = heart_beat
        self._closing = asyncio.Event()

    def route(self) -> Route:
        """Return where the stream is found."""
        return Route("/api/events", self._respond)

    def close(self) -> None:
        """End all streams, and those that begin later at once."""
        self._closing.set()

    async def _respond(self, request: Request) -> Response:
        if request.method == "HEAD":
            return Response(status_code=HTTPStatus.OK, media_type="text/event-stream")
        # Without it, older versions of starlette would collect events to compress them.
        headers = {"content-encoding": "identity"}
        return StreamingResponse(self.changes(), headers=headers, media_type="text/event-stream")

    async def changes(self) -> AsyncIterator[bytes]:
        """Yield how things stand, and again after each change."""
        yield f"retry: {_RETRY}\n\n".encode()
        seen, quiet = -1, 0.0
        while not self._closing.is_set():
            revision, change = await run_in_threadpool(self._look, seen)
            if revision != seen:
                seen, quiet = revision, 0.0
                yield b"event: change\ndata: " + change + b"\n\n"
            elif quiet >= self._heart_beat:
                quiet = 0.0
                yield b": still here\n\n"
            quiet += INTERVAL
            try:
                await asyncio.wait_for(self._closing.wait(), INTERVAL)
            except TimeoutError:
                continue

    def _look(self, seen: int) -> tuple[int, bytes]:
        with self._live.reading() as reader:
            if reader.revision == seen:
                return seen, b""
            return reader.revision, encoded({"revision": reader.revision, "counts": overview(reader.history).counts})
