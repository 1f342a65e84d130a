"""Stopping and restarting entities from a page, when the dashboard was started with ``--control``."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Protocol, TypeAlias

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from smartsim.app.dashboard.answers import answer, refusal
from smartsim.app.dashboard.live import LiveRecord
from smartsim.domain.errors import EntityNotFoundError, SmartSimError
from smartsim.domain.history import History
from smartsim.domain.views.details import find
from smartsim.domain.views.table import Query, members

_LONGEST_BODY = 4096


class Control(Protocol):
    """Has drivers stop and restart entities; what it did is told in words."""

    def stop(self, entity: str, by: str) -> str:
        """Stop an entity that runs."""
        ...

    def restart(self, entity: str, by: str) -> str:
        """Start an entity again that has ended."""
        ...


FindControl: TypeAlias = Callable[[History], Control]
"""Returns what reaches the drivers of an experiment, given what is known of it."""
Action: TypeAlias = Callable[[Control, str, str], str]


class Commands:
    """Does what a page asks for, once somebody has confirmed it.

    Args:
        live: the record.
        control: finds what reaches the drivers; None when nobody may.
        by: who asks, in words.
    """

    def __init__(self, live: LiveRecord, control: FindControl | None, by: str) -> None:
        self._live = live
        self._control = control
        self._by = by

    def routes(self) -> list[BaseRoute]:
        """Return where each command is found."""
        actions: dict[str, Action] = {
            "stop": lambda control, entity, by: control.stop(entity, by),
            "restart": lambda control, entity, by: control.restart(entity, by),
        }
        return [
            Route(f"/api/entities/{{entity}}/{name}", self._endpoint(action), methods=["POST"])
            for name, action in actions.items()
        ]

    def _endpoint(self, action: Action) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            entity = request.path_params["entity"]
            if self._control is None:
                raise HTTPException(
                    HTTPStatus.FORBIDDEN, "This dashboard only looks: start it with --control to stop and restart"
                )
            if not request.headers.get("x-requested-with"):
                raise HTTPException(HTTPStatus.FORBIDDEN, "The header X-Requested-With is missing")
            await _check_confirmation(request, entity)
            try:
                done = await run_in_threadpool(self._act, action, self._control, entity)
            except EntityNotFoundError:
                raise
            except SmartSimError as error:
                return refusal(HTTPStatus.CONFLICT, str(error))
            return answer({"done": done})

        return endpoint

    def _act(self, action: Action, find_control: FindControl, entity: str) -> str:
        with self._live.reading() as reader:
            if not members(reader.history, Query(group=entity)):  # all of an ensemble or database can be meant, too
                find(reader.history, entity)
            control = find_control(reader.history)
        return action(control, entity, self._by)


async def _check_confirmation(request: Request, entity: str) -> None:
    """See to it that somebody has confirmed the entity's name.

    Raises:
        HTTPException: nobody has.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LONGEST_BODY:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"More than {_LONGEST_BODY} bytes were sent")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or content.get("confirm") != entity:
        raise HTTPException(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"Nothing was done: send {json.dumps({'confirm': entity})} to confirm it"
        )
