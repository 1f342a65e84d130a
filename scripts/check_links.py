"""Check that links lead somewhere: the four layers at the top of the tree, and those of the documents."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("domain", "ports", "adapters", "app")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def broken_layers() -> Iterator[str]:
    """Yield what is wrong with the links to the layers."""
    for layer in LAYERS:
        link, target = ROOT / layer, f"src/smartsim/{layer}"
        if not link.is_symlink() or str(link.readlink()) != target or not link.is_dir():
            yield f"{layer}: is not a link to {target}: ln -s {target} {layer}"


def broken_references() -> Iterator[str]:
    """Yield the links of documents to files or headings that do not exist."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        document = ROOT / name
        for target in LINK.findall(document.read_text(encoding="utf-8")):
            if re.match(r"[a-z]+:", target):
                continue  # the web is not ours to check
            path, _, anchor = target.partition("#")
            found = document if not path else document.parent / path
            if not found.exists():
                yield f"{name}: leads to {target}, which does not exist"
            elif anchor and anchor not in anchors(found):
                yield f"{name}: leads to {target}, and there is no such heading"


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as forges make them."""
    headings = re.findall(r"^#+ +(.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


if __name__ == "__main__":
    problems = [*broken_layers(), *broken_references()]
    print(*problems or ["All links lead somewhere."], sep="\n")
    sys.exit(bool(problems))
