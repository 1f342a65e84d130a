"""The code in the documents runs as it stands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from documents import write_page

PAGES = (
    "README.md",
    "docs/driver-scripts.md",
    "docs/inference.md",
    "docs/client.md",
    "docs/streams.md",
    "docs/colocated.md",
)
# Torch does not like TorchScript any more, which is what the database runs.
WARNINGS = ("-W", "error", "-W", "ignore:`torch.jit:DeprecationWarning")
TESTS = """
for name, function in list(globals().items()):
    if name.startswith("test_"):
        function()
"""


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs_from_top_to_bottom(page: str, tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text(write_page(page, tmp_path) + TESTS, encoding="utf-8")
    command = [sys.executable, *WARNINGS, "page.py"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
