"""The code in the documents, for tests that run it as it stands."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def write_page(page: str, directory: Path) -> str:
    """Write the files of a page, and return its script.

    Blocks whose first line is the name of a file are that file; the others, one after another, are the script.

    Args:
        page: its path below the root of the project.
        directory: for the files.
    """
    script = ""
    for block in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL):
        name = re.match(r"# (\w+\.py)\n", block)
        if name:
            (directory / name[1]).write_text(block, encoding="utf-8")
        else:
            script += block
    assert script, f"{page} has no script"
    return script
