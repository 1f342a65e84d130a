"""The web application, and the server that runs it for this machine alone."""

from __future__ import annotations

import os
import socket
from types import FrameType
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from smartsim.app.dashboard.access import Access
from smartsim.app.dashboard.answers import refused
from smartsim.app.dashboard.api import Api
from smartsim.app.dashboard.commands import Commands, FindControl
from smartsim.app.dashboard.live import LiveRecord
from smartsim.app.dashboard.logs import Logs
from smartsim.app.dashboard.push import Push
from smartsim.app.log_files import LogFiles
from smartsim.app.reading import ExperimentReader
from smartsim.domain.errors import EntityNotFoundError, SmartSimError
from smartsim.ports.clock import Clock

HOST: Final = "127.0.0.1"
_STATIC: Final = os.path.join(os.path.dirname(__file__), "static")
_SHORTEST_COMPRESSED: Final = 1000  # bytes
_LAST_ANSWERS: Final = 5  # seconds that requests have to finish when the server ends


class Dashboard:
    """The application: pages, JSON API, server push and metrics of one experiment.

    Args:
        reader: of its record.
        logs: the log files that the record names.
        token: that whoever asks must have.
        clock: tells the time.
        control: finds what stops and restarts entities; None when nobody may.
        by: who stops and restarts, in words.
    """

    def __init__(
        self,
        reader: ExperimentReader,
        logs: LogFiles,
        token: str,
        clock: Clock,
        control: FindControl | None = None,
        by: str = "the dashboard",
    ) -> None:
        live = LiveRecord(reader, clock)
        self._push = Push(live)
        application = Starlette(
            routes=[
                Route("/", _index),
                Mount("/static", StaticFiles(directory=_STATIC)),
                *Logs(live, logs).routes(),
                *Commands(live, control, by).routes(),
                *Api(live, can_control=control is not None).routes(),
                self._push.route(),
            ],
            middleware=[Middleware(GZipMiddleware, minimum_size=_SHORTEST_COMPRESSED)],
            exception_handlers=dict.fromkeys((HTTPException, EntityNotFoundError, Exception), refused),
        )
        self._guarded = Access(application, token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._guarded(scope, receive, send)

    def close(self) -> None:
        """End the streams, which would go on for ever."""
        self._push.close()


def _index(_request: Request) -> Response:
    return FileResponse(os.path.join(_STATIC, "index.html"), media_type="text/html")


def listen(port: int) -> socket.socket:
    """Return a socket that listens on this machine alone.

    Args:
        port: the TCP port; 0 for one that is free.

    Raises:
        SmartSimError: it is taken, or may not be had.
    """
    try:
        listener = socket.create_server((HOST, port))
    except OSError as error:
        raise SmartSimError(
            f"Port {port} of {HOST} cannot be had: {error.strerror or error}. Another dashboard may have it: choose "
            "another one, or none, for a free one"
        ) from error
    # Connections have what the listener has. Otherwise the end of an answer waits for the acknowledgement of its
    # beginning, which takes 40 ms; asyncio sees to that only for sockets that it made itself.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def serve(dashboard: Dashboard, listener: socket.socket) -> None:
    """Answer requests until SIGINT or SIGTERM, and close the socket.

    Args:
        dashboard: the application.
        listener: where requests come in.
    """
    config = uvicorn.Config(
        dashboard,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_LAST_ANSWERS,
    )
    _Server(config, dashboard).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Ends in peace: whoever sends a signal wants it to end, and that is no failure."""

    def __init__(self, config: uvicorn.Config, dashboard: Dashboard) -> None:
        super().__init__(config)
        self._dashboard = dashboard

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - what signals call
        """Begin to end; at once when it is told again."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self._dashboard.close()
