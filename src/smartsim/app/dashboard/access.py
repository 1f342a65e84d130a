"""Who may use a dashboard: those who have its token, from pages of its own."""

from __future__ import annotations

import hashlib
import secrets
from http import HTTPStatus
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from smartsim.app.dashboard.answers import refusal

_COOKIE = "smartsim-dashboard"
_NAMES = ("127.0.0.1", "localhost", "[::1]")
_HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "object-src 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Access:
    """Lets requests pass to an application that come with the token, and marks its answers for browsers.

    The token comes once in the address ``/?token=``, and goes into a cookie that scripts cannot read and other sites
    cannot send; programs send it as ``Authorization: Bearer``. A request by another name than those of this machine is
    refused with either, so that no other site can pass for this one by its name server.

    Browsers do not tell the ports of a machine apart. So the cookie is for a path that nobody else knows, below which
    pages find all that is found without it: other servers at this address are not sent it, and dashboards beside each
    other have one each.

    Args:
        app: what is guarded.
        token: the secret.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()
        self._path = f"/{hashlib.sha256(b'path of ' + self._token).hexdigest()[:32]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        path = scope["path"].removeprefix(self._path)
        is_page = path != scope["path"] and path.startswith("/")
        if is_page:
            scope = {**scope, "path": path}

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                # What comes with the package is asked for again, and told by its tag to be the same.
                headers["cache-control"] = "no-cache" if scope["path"].startswith("/static/") else "no-store"
            await send(message)

        answered = self._answered(scope, is_page=is_page)
        await (self._app if answered is None else answered)(scope, receive, marked)

    def _answered(self, scope: Scope, *, is_page: bool) -> Response | None:
        """Return the answer to a request that may not pass, or need not."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host.rpartition(":")[0] not in _NAMES and host not in _NAMES:
            known = ", ".join(_NAMES)
            return refusal(HTTPStatus.FORBIDDEN, f"This dashboard is not {host!r}; it answers to {known} alone")
        (given,) = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[:1]
        if scope["path"] == "/" and not is_page and scope["method"] == "GET" and self._is_token(given):
            return self._admitted(given, headers)
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._is_token(bearer.strip()):
            return None
        if is_page and self._is_token(HTTPConnection(scope).cookies.get(_COOKIE, "")):
            return None
        refused = refusal(HTTPStatus.UNAUTHORIZED, "Open the address that `smart dashboard` printed, with its token")
        refused.headers["www-authenticate"] = "Bearer"
        return refused

    def _admitted(self, token: str, headers: Headers) -> Response:
        """Return the answer that hands out the cookie, and leads to a page without the token in its address."""
        pages = f"{self._path}/"
        response: Response = RedirectResponse(pages, HTTPStatus.SEE_OTHER)
        if headers.get("sec-fetch-site") == "cross-site":
            # The link was in a page of another site, such as a terminal in a browser. A redirect would still be that
            # site's doing, and not bring the cookie along.
            refresh = {"refresh": f"0; url={pages}"}
            response = Response("The dashboard follows.", headers=refresh, media_type="text/plain")
        response.set_cookie(_COOKIE, token, path=pages, httponly=True, samesite="strict")
        return response

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode("utf-8", "surrogateescape"), self._token)
