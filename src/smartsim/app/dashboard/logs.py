"""The log routes of the dashboard. They serve what the record names, and take no path from anybody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from smartsim.app.dashboard import questions
from smartsim.app.dashboard.answers import answer
from smartsim.app.dashboard.live import LiveRecord
from smartsim.app.log_files import LogFiles, errors_of
from smartsim.domain.history import JobHistory
from smartsim.domain.views.details import find
from smartsim.domain.views.diagnosis import diagnose

_TAIL = -1  # as an offset
_CHUNK = 65536
_LARGEST_CHUNK = 2**20
_FARTHEST = 2**62  # as an offset; systems do not know much larger ones
_TAIL_LINES = 40


class Logs:
    """Answers what is asked about the output of entities.

    Args:
        live: the record.
        files: the log files that it names.
    """

    def __init__(self, live: LiveRecord, files: LogFiles) -> None:
        self._live = live
        self._files = files

    def routes(self) -> list[BaseRoute]:
        """Return where each answer is found."""
        return [
            Route("/api/entities/{entity}/diagnosis", self._diagnosis),
            Route("/api/logs/{entity}", self._chunk),
            Route("/api/logs/{entity}/search", self._search),
            Route("/api/logs/{entity}/first-error", self._first_error),
            Route("/api/errors", self._errors),
        ]

    def _chunk(self, request: Request) -> Response:
        asked = request.query_params
        offset = questions.number(asked, "offset", 0, least=_TAIL, most=_FARTHEST)
        limit = questions.number(asked, "limit", _CHUNK, least=1, most=_LARGEST_CHUNK)
        path = self._path(request)
        with _readable():
            if offset == _TAIL:
                return answer(self._files.tail(path, limit=limit))
            return answer(self._files.chunk(path, offset, limit))

    def _search(self, request: Request) -> Response:
        asked = request.query_params
        start = questions.number(asked, "start", 0, least=0, most=_FARTHEST)
        text = asked.get("text", "")
        if not text:
            raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, "text must be what to look for")
        path = self._path(request)
        with _readable():
            return answer(self._files.search(path, text, start))

    def _first_error(self, request: Request) -> Response:
        path = self._path(request)
        with _readable():
            return answer(self._files.first_error(path))

    def _errors(self, request: Request) -> Response:
        with self._live.reading() as reader:
            starts = errors_of(reader.history, request.query_params.get("group", ""))
        return answer({"errors": self._files.merged_errors(starts)})

    def _diagnosis(self, request: Request) -> Response:
        job = self._job(request)
        tails = (self._tail(path) for path in (job.facts.stderr, job.facts.stdout))
        return answer(diagnose(job, *tails))

    def _tail(self, path: str) -> Sequence[str]:
        with suppress(OSError):  # what is known without its output is told all the same
            return self._files.tail(path, _TAIL_LINES).text.splitlines() if path else ()
        return ()

    def _job(self, request: Request) -> JobHistory:
        """Return the start that a request asks for, as it is now: files are read without keeping others waiting.

        Raises:
            EntityNotFoundError: there is no such entity or start.
        """
        with self._live.reading() as reader:
            return copy(find(reader.history, *questions.start(request)))

    def _path(self, request: Request) -> str:
        """Return the file that a request asks for, as the record has it.

        Raises:
            EntityNotFoundError: there is no such entity or start.
            HTTPException: 404, the record names no such file of it.
        """
        job = self._job(request)
        stream = request.query_params.get("stream", "") or "stdout"
        known = {file.name: file.path for file in self._files.of(job)}
        if stream not in known:
            raise HTTPException(
                HTTPStatus.NOT_FOUND,
                f"The record names no {stream!r} of {job.facts.entity!r}; it has {', '.join(known) or 'none'}",
            )
        return known[stream]


@contextmanager
def _readable() -> Iterator[None]:
    """Refuse what asks for a file that the system does not give, or that is none."""
    try:
        yield
    except OSError as error:
        raise HTTPException(
            HTTPStatus.NOT_FOUND, f"{error.filename} cannot be read: {error.strerror or error}"
        ) from error
