"""Dashboards in this process, and what asks them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from smartsim.adapters.clock.virtual import VirtualClock
from smartsim.app.dashboard.commands import FindControl
from smartsim.app.dashboard.server import Dashboard
from smartsim.app.log_files import LogFiles
from smartsim.app.reading import ExperimentReader

NOW = 1_700_000_000.0
TOKEN = "a-token-of-tests"


class Client:
    """Asks a dashboard, as a program does that has its token.

    Args:
        dashboard: the one.
        clock: its clock.
    """

    def __init__(self, dashboard: Dashboard, clock: VirtualClock) -> None:
        self.dashboard = dashboard
        self.clock = clock

    def ask(self, path: str, method: str = "GET", **options: Any) -> httpx.Response:
        """Return the answer to a request; without other headers it brings the token along."""
        options.setdefault("headers", {"authorization": f"Bearer {TOKEN}"})
        return asyncio.run(self._ask(method, path, options))

    def json(self, path: str) -> Any:
        """Return the JSON of an answer, which has to be one."""
        answer = self.ask(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json"), answer.text
        return answer.json()

    def refused(self, path: str, method: str = "GET", **options: Any) -> tuple[int, str]:
        """Return the status and the words of a refusal."""
        answer = self.ask(path, method, **options)
        return answer.status_code, answer.json()["error"]

    async def _ask(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(self.dashboard, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            return await client.request(method, path, **options)


def client_of(directory: Path, find_control: FindControl | None = None) -> Client:
    """Return what asks a dashboard of a directory."""
    clock = VirtualClock(start=NOW)
    reader = ExperimentReader(str(directory))
    return Client(Dashboard(reader, LogFiles(reader), TOKEN, clock, find_control, by="ada@login1"), clock)
