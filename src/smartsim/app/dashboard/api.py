"""The JSON API of the dashboard: the views of a record, as they are."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from smartsim.app.dashboard import exposition, questions
from smartsim.app.dashboard.answers import answer
from smartsim.app.dashboard.live import LiveRecord
from smartsim.app.json_text import by_name
from smartsim.app.reading import ExperimentReader
from smartsim.domain.history import History
from smartsim.domain.metrics_history import Series
from smartsim.domain.views.databases import databases
from smartsim.domain.views.details import details, find
from smartsim.domain.views.heat_map import heat_map
from smartsim.domain.views.inference import inference
from smartsim.domain.views.overview import overview
from smartsim.domain.views.table import Query, page
from smartsim.domain.views.timeline import load, timeline


class Api:
    """Answers what pages and programs ask of a record.

    Args:
        live: the record.
        can_control: whether entities can be stopped and restarted here.
    """

    def __init__(self, live: LiveRecord, *, can_control: bool) -> None:
        self._live = live
        self._can_control = can_control

    def routes(self) -> list[BaseRoute]:
        """Return where each answer is found."""
        return [
            Route("/api/overview", self._overview),
            Route("/api/entities", self._entities),
            Route("/api/entities/{entity}", self._details),
            Route("/api/entities/{entity}/usage", self._usage),
            Route("/api/heat-map", self._heat_map),
            Route("/api/timeline", self._timeline),
            Route("/api/load", self._view(lambda reader: load(reader.history, self._live.now()))),
            Route(
                "/api/databases", self._view(lambda reader: {"databases": databases(reader.history, reader.metrics)})
            ),
            Route("/api/inference", self._view(lambda reader: {"models": inference(reader.history, reader.metrics)})),
            Route("/metrics", self._exposition),
        ]

    def _view(self, view: Callable[[ExperimentReader], object]) -> Callable[[Request], Response]:
        """Return the endpoint of a view that nothing is asked about."""

        def endpoint(_request: Request) -> Response:
            with self._live.reading() as reader:
                return answer(view(reader))

        return endpoint

    def _overview(self, _request: Request) -> Response:
        with self._live.reading() as reader:
            seen = overview(reader.history)
            facts = {
                "revision": reader.revision,
                "directory": reader.directory,
                "now": self._live.now(),
                "control": self._can_control,
            }
            return answer({**by_name(seen), **facts})

    def _entities(self, request: Request) -> Response:
        return self._rows(request, page)

    def _timeline(self, request: Request) -> Response:
        return self._rows(request, timeline)

    def _rows(self, request: Request, view: Callable[[History, Query, float], object]) -> Response:
        query = questions.query(request.query_params)
        with self._live.reading() as reader:
            try:
                return answer(view(reader.history, query, self._live.now()))
            except ValueError as error:  # it names what cannot be sorted by
                raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error

    def _heat_map(self, request: Request) -> Response:
        with self._live.reading() as reader:
            return answer(heat_map(reader.history, request.query_params.get("group", "")))

    def _details(self, request: Request) -> Response:
        with self._live.reading() as reader:
            return answer(details(reader.history, *questions.start(request), self._live.now()))

    def _usage(self, request: Request) -> Response:
        with self._live.reading() as reader:
            found = find(reader.history, *questions.start(request))
            series = reader.metrics.jobs.get(found.facts.step, Series())
            return answer({"times": series.times, **{name: series.values.get(name, []) for name in ("cpu", "memory")}})

    def _exposition(self, _request: Request) -> Response:
        with self._live.reading() as reader:
            text = exposition.text(reader.history, reader.metrics)
        return Response(text, media_type=exposition.MEDIA_TYPE)
