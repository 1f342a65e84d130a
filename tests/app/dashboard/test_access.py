"""Who may ask a dashboard, and what browsers are told."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import pytest

from dashboard_clients import TOKEN, Client, client_of
from recorded_studies import MARKUP
from smartsim.app.dashboard.server import Dashboard
from smartsim.app.log_files import LogFiles
from smartsim.app.reading import ExperimentReader

ROUTES = (
    *("/", "/static/index.html", "/api/overview", "/api/entities", "/api/heat-map", "/api/entities/sweep_0"),
    *("/api/entities/sweep_0/diagnosis", "/api/entities/sweep_0/usage", "/api/timeline", "/api/load"),
    *("/api/databases", "/api/inference", "/api/logs/sweep_0", "/api/logs/sweep_0/search?text=x", "/api/events"),
    *("/api/logs/sweep_0/first-error", "/api/errors", "/metrics", "/no/such/page"),
)
BEARER = {"authorization": f"Bearer {TOKEN}"}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": b"Bearer \xff\xfe"},
        {"cookie": f"token={TOKEN}"},
    ],
)
def test_nothing_is_told_without_the_token(client: Client, route: str, headers: dict[str, str]) -> None:
    status, error = client.refused(route, headers=headers)
    assert status == 401
    assert "smart dashboard" in error
    assert client.ask(f"{route}{'&' if '?' in route else '?'}token=wrong", headers=headers).status_code == 401


@pytest.mark.parametrize("action", ["stop", "restart"])
def test_nothing_is_done_without_the_token(client: Client, action: str) -> None:
    status, _ = client.refused(f"/api/entities/sweep_0/{action}", "POST", headers={"x-requested-with": "test"})
    assert status == 401


def test_the_address_with_the_token_makes_a_cookie_and_hides_the_token(client: Client) -> None:
    answer = client.ask(f"/?token={TOKEN}", headers={})
    pages = answer.headers["location"]
    assert answer.status_code == 303
    assert re.fullmatch("/[0-9a-f]{32}/", pages)
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    cookie, *attributes = answer.headers["set-cookie"].split("; ")
    assert {attribute.lower() for attribute in attributes} == {"httponly", f"path={pages}", "samesite=strict"}
    page = client.ask(pages, headers={"cookie": cookie})
    assert page.status_code == 200
    assert TOKEN not in page.text
    assert client.ask(f"{pages}api/overview", headers={"cookie": cookie}).status_code == 200


def test_pages_find_all_below_the_secret_path(client: Client) -> None:
    answer = client.ask(f"/?token={TOKEN}", headers={})
    pages, headers = answer.headers["location"], {"cookie": answer.headers["set-cookie"].partition(";")[0]}
    linked = re.findall('(?:href|src)="([^"]+)"', client.ask(pages, headers=headers).text)
    assert len(linked) > 10
    for path in (*linked, "metrics", f"api/entities/{quote(MARKUP, safe='')}", "api/entities/post%20processing"):
        assert client.ask(f"{pages}{path}", headers=headers).status_code == 200, path
    assert client.ask(f"{pages}static/app.js", headers=headers).headers["cache-control"] == "no-cache"
    assert client.ask(f"{pages}api/overview").status_code == 200  # programs may send the token there, too


def test_the_cookie_is_good_for_the_secret_path_alone(client: Client) -> None:
    """No other server at this address is sent it, and what has it nevertheless does not know where to go."""
    answer = client.ask(f"/?token={TOKEN}", headers={})
    pages, cookie = answer.headers["location"], answer.headers["set-cookie"].partition(";")[0]
    for path in ("/", "/api/overview", "/static/app.js", pages.rstrip("/"), f"{pages.rstrip('/')}api/overview"):
        assert client.ask(path, headers={"cookie": cookie}).status_code == 401, path
    assert client.ask(pages, headers={}).status_code == 401  # and the path alone opens nothing
    assert client.ask(f"{pages}?token={TOKEN}", headers={}).status_code == 401


def test_a_link_in_a_terminal_of_another_site_leads_there_too(client: Client) -> None:
    answer = client.ask(f"/?token={TOKEN}", headers={"sec-fetch-site": "cross-site"})
    pages = client.ask(f"/?token={TOKEN}", headers={}).headers["location"]
    assert (answer.status_code, answer.headers["refresh"]) == (200, f"0; url={pages}")  # the browser does it by itself
    assert "samesite=strict" in answer.headers["set-cookie"].lower()
    assert TOKEN not in answer.text
    assert client.ask("/?token=wrong", headers={"sec-fetch-site": "cross-site"}).status_code == 401


def test_dashboards_beside_each_other_have_paths_of_their_own(client: Client, recorded: Path) -> None:
    reader = ExperimentReader(str(recorded))
    other = Dashboard(reader, LogFiles(reader), "another-token", client.clock)
    paths = [
        client.ask(f"/?token={TOKEN}", headers={}).headers["location"],
        Client(other, client.clock).ask("/?token=another-token", headers={}).headers["location"],
    ]
    assert paths[0] != paths[1]


def test_the_token_opens_no_other_address(client: Client) -> None:
    assert client.ask(f"/api/overview?token={TOKEN}", headers={}).status_code == 401


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "127.0.0.1", "localhost:4711", "localhost", "[::1]:80", "[::1]"])
def test_this_machine_has_several_names(client: Client, host: str) -> None:
    assert client.ask("/api/overview", headers={**BEARER, "host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example:8000", "evil.example:127.0.0.1", "", "::1"]
)
def test_other_names_are_refused_even_with_the_token(client: Client, host: str) -> None:
    status, error = client.refused("/api/overview", headers={**BEARER, "host": host})
    assert status == 403
    assert "localhost" in error
    assert client.ask(f"/?token={TOKEN}", headers={"host": host}).status_code == 403


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("headers", [BEARER, {}])
def test_browsers_are_told_to_trust_nothing_else(client: Client, route: str, headers: dict[str, str]) -> None:
    answer = client.ask(route, "HEAD", headers=headers)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in answer.headers
    assert "server" not in answer.headers


def test_what_comes_with_the_package_is_not_sent_again(client: Client) -> None:
    answer = client.ask("/static/index.html")
    assert answer.headers["cache-control"] == "no-cache"
    again = client.ask("/static/index.html", headers={**BEARER, "if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path", ["/static/../server.py", "/static/%2e%2e/server.py", "/static//etc/passwd", "/static/..%2f..%2fserver.py"]
)
def test_nothing_else_of_the_disk_is_served(client: Client, path: str) -> None:
    assert client.refused(path)[0] == 404


def test_methods_that_a_route_has_not_are_refused_in_words(client: Client) -> None:
    for method in ("OPTIONS", "POST", "DELETE"):
        answer = client.ask("/api/overview", method)
        assert answer.status_code == 405
        assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
        assert answer.json()["error"]


def test_a_head_has_no_body_and_no_end_to_wait_for(client: Client) -> None:
    answer = client.ask("/api/events", "HEAD")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")


def test_a_failure_of_its_own_is_told_without_its_details(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr("smartsim.app.dashboard.api.load", fail)
    answer = client_of(recorded).ask("/api/load")
    assert answer.status_code == 500
    assert "ZeroDivisionError" in answer.json()["error"]
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
