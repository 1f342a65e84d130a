"""Static files as one page: what reports are."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import smartsim.app.dashboard
from smartsim.app.dashboard.bundle import page

STATIC = Path(smartsim.app.dashboard.__file__).parent / "static"


def test_nothing_is_fetched_and_nothing_else_is_allowed() -> None:
    html = page("{}")
    assert "static/" not in re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    (script,) = re.findall(r'<script type="module">(.*?)</script>', html, re.DOTALL)
    assert not re.search(r"^(import|export)\b", script, re.MULTILINE)
    styles = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert len(styles) == 2
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', html)
    assert policy.startswith("default-src 'none'; ")
    for inlined in (script, *styles):
        digest = base64.b64encode(hashlib.sha256(inlined.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert html.index("Content-Security-Policy") < html.index("<style>")


def test_data_cannot_end_its_element() -> None:
    data = {"name": "</script><script>alert(1)</script><!--"}
    html = page(json.dumps(data))
    (inlined,) = re.findall(r'<script type="application/json" id="report-data">(.*?)</script>', html, re.DOTALL)
    assert json.loads(inlined) == data
    assert "alert(1)</script>" not in html


def test_all_modules_are_asked_for_at_once() -> None:
    modules = {str(path.relative_to(STATIC)) for path in STATIC.rglob("*.js")}
    index = (STATIC / "index.html").read_text()
    preloaded = re.findall(r'<link rel="modulepreload" href="static/([^"]+)">', index)
    assert {*preloaded, "app.js"} == modules
