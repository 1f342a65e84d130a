"""The code in the documents runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
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
    """Blocks whose first line is the name of a file are that file; the others, one after another, are a script."""
    script = ""
    for block in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL):
        name = re.match(r"# (\w+\.py)\n", block)
        if name:
            (tmp_path / name[1]).write_text(block, encoding="utf-8")
        else:
            script += block
    assert script
    (tmp_path / "page.py").write_text(script + TESTS, encoding="utf-8")
    command = [sys.executable, *WARNINGS, "page.py"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
