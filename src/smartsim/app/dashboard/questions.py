"""What requests ask for, checked."""

from __future__ import annotations

from http import HTTPStatus

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request

from smartsim.domain.views.table import Query

LONGEST_PAGE = 1000
"""Rows of one answer."""
_FLAGS = {"": False, "0": False, "false": False, "1": True, "true": True}


def number(asked: QueryParams, name: str, default: int, least: int, most: int | None = None) -> int:
    """Return a whole number that a request gives.

    Raises:
        HTTPException: 422, it is none, or out of bounds.
    """
    text = asked.get(name, "") or str(default)
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least or (most is not None and value > most):
        bounds = f"{least} or more" if most is None else f"from {least} to {most}"
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, f"{name} must be a whole number, {bounds}, not {text!r}")
    return value


def query(asked: QueryParams) -> Query:
    """Return which rows a request asks for.

    Raises:
        HTTPException: 422, a value makes no sense.
    """
    return Query(
        group=asked.get("group", ""),
        run_id=asked.get("run", ""),
        text=asked.get("text", ""),
        statuses=tuple(asked.getlist("status")),
        sort=asked.get("sort", "") or "entity",
        descending=_flag(asked, "desc"),
        offset=number(asked, "offset", 0, least=0),
        limit=number(asked, "limit", 100, least=1, most=LONGEST_PAGE),
        every_start=_flag(asked, "every_start"),
    )


def start(request: Request) -> tuple[str, str]:
    """Return the names of the entity and of its start that a request is about; the latter is empty for the latest."""
    return request.path_params["entity"], request.query_params.get("step", "")


def _flag(asked: QueryParams, name: str) -> bool:
    text = asked.get(name, "")
    if text.lower() not in _FLAGS:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, f"{name} must be 1 or 0, not {text!r}")
    return _FLAGS[text.lower()]
