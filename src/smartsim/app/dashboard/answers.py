"""Answers of the dashboard: JSON, also for what went wrong."""

from __future__ import annotations

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from smartsim.app.json_text import encoded
from smartsim.domain.errors import EntityNotFoundError


def answer(value: object, status: int = 200) -> Response:
    """Return the response that has a value."""
    return Response(encoded(value), status, media_type="application/json")


def refusal(status: int, error: str) -> Response:
    """Return the response that says why there is no answer.

    Args:
        status: of HTTP.
        error: why, in words.
    """
    return answer({"error": error}, status)


def refused(_request: Request, error: Exception) -> Response:
    """Return the response to what cannot be answered."""
    match error:
        case HTTPException():
            response = refusal(error.status_code, error.detail)
            response.headers.update(error.headers or {})
            return response
        case EntityNotFoundError():
            return refusal(HTTPStatus.NOT_FOUND, str(error))
    return refusal(
        HTTPStatus.INTERNAL_SERVER_ERROR, f"The dashboard failed: {type(error).__name__}. Its terminal shows where"
    )
