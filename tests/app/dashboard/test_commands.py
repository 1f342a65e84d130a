"""Stopping and restarting from a page: only when it was allowed, asked for by the page, and confirmed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dashboard_clients import TOKEN, Client, client_of
from smartsim.domain.errors import SmartSimError

HEADERS = {"authorization": f"Bearer {TOKEN}", "x-requested-with": "smartsim-dashboard"}


class Driver:
    """Does nothing but note what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []

    def stop(self, entity: str, by: str) -> str:
        """Say that an entity was stopped."""
        self.asked.append(("stop", entity, by))
        return f"{entity} was stopped"

    def restart(self, entity: str, by: str) -> str:
        """Refuse to restart an entity."""
        self.asked.append(("restart", entity, by))
        raise SmartSimError(f"{entity} has not ended yet: stop it first")


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def controlling(recorded: Path, driver: Driver) -> Client:
    return client_of(recorded, lambda _: driver)


def confirmed(entity: str) -> dict[str, Any]:
    return {"headers": HEADERS, "content": json.dumps({"confirm": entity})}


def test_a_confirmed_command_is_done_in_the_name_of_who_asked(controlling: Client, driver: Driver) -> None:
    answer = controlling.ask("/api/entities/sweep_3/stop", "POST", **confirmed("sweep_3"))
    assert (answer.status_code, answer.json()) == (200, {"done": "sweep_3 was stopped"})
    assert driver.asked == [("stop", "sweep_3", "ada@login1")]
    assert controlling.json("/api/overview")["control"] is True


def test_what_the_driver_refuses_is_told_in_its_words(controlling: Client, driver: Driver) -> None:
    refusal = controlling.refused("/api/entities/sweep_3/restart", "POST", **confirmed("sweep_3"))
    assert refusal == (409, "sweep_3 has not ended yet: stop it first")
    assert driver.asked == [("restart", "sweep_3", "ada@login1")]


def test_all_of_an_ensemble_can_be_meant(controlling: Client, driver: Driver) -> None:
    assert controlling.ask("/api/entities/sweep/stop", "POST", **confirmed("sweep")).status_code == 200
    assert driver.asked == [("stop", "sweep", "ada@login1")]


@pytest.mark.parametrize("action", ["stop", "restart"])
@pytest.mark.parametrize(
    ("entity", "options", "status", "complaint"),
    [
        ("nobody", confirmed("nobody"), 404, "nobody"),
        ("sweep_3", {"headers": {"authorization": f"Bearer {TOKEN}"}}, 403, "X-Requested-With"),
        ("sweep_3", {"headers": HEADERS}, 422, '{"confirm": "sweep_3"}'),
        ("sweep_3", {"headers": HEADERS, "content": "sweep_3"}, 422, "confirm"),
        ("sweep_3", {"headers": HEADERS, "content": "[" * 4000}, 422, "confirm"),
        ("sweep_3", {"headers": HEADERS, "content": '["sweep_3"]'}, 422, "confirm"),
        ("sweep_3", {"headers": HEADERS, "content": b"\xff\x00"}, 422, "confirm"),
        ("sweep_3", confirmed("sweep_4"), 422, "confirm"),
        ("sweep_3", {"headers": HEADERS, "content": " " * 5000}, 413, "4096"),
    ],
)
def test_nothing_is_done_otherwise(
    controlling: Client,
    driver: Driver,
    action: str,
    entity: str,
    options: dict[str, Any],
    status: int,
    complaint: str,
) -> None:
    refused, error = controlling.refused(f"/api/entities/{entity}/{action}", "POST", **options)
    assert refused == status
    assert complaint in error
    assert driver.asked == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS"])
def test_a_command_is_nothing_that_a_link_can_do(controlling: Client, driver: Driver, method: str) -> None:
    answer = controlling.ask("/api/entities/sweep_3/stop", method, headers=HEADERS)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert driver.asked == []


def test_without_the_flag_a_dashboard_only_looks(client: Client) -> None:
    status, error = client.refused("/api/entities/sweep_3/stop", "POST", **confirmed("sweep_3"))
    assert status == 403
    assert "--control" in error
