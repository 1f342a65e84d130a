"""The code in the documents on launchers runs as it stands, on a real Slurm."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from documents import write_page
from schedulers import Slurm

ACCOUNT = "project"  # which the pages name
SOLVER = "#!/bin/sh\necho rank $SLURM_PROCID\n"
ALLOCATION = ("salloc", "--quiet", "--nodes=4", "--exclusive", "--time=5", "--mem=1800")


@pytest.fixture(scope="module")
def _account(slurm_cluster: Slurm) -> None:
    slurm_cluster.ask("sacctmgr", "--immediate", "--quiet", "add", "account", ACCOUNT)
    slurm_cluster.ask("sacctmgr", "--immediate", "--quiet", "add", "user", "root", f"account={ACCOUNT}")


@pytest.fixture
def study(_account: None, tmp_path: Path) -> Path:
    """A directory with the program of a user who may charge the account."""
    solver = tmp_path / "solver"
    solver.write_text(SOLVER)
    solver.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(("page", "inside"), [("docs/launchers.md", ()), ("docs/placement.md", ALLOCATION)])
def test_the_code_of_a_page_runs_from_top_to_bottom(
    slurm: Slurm, study: Path, monkeypatch: pytest.MonkeyPatch, page: str, inside: tuple[str, ...]
) -> None:
    (study / "page.py").write_text(write_page(page, study), encoding="utf-8")
    monkeypatch.chdir(study)
    ended = slurm.run(*inside, sys.executable, "-W", "error", "page.py")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    said = [file for file in study.glob("*/*/*/*.out") if "rank 0\n" in file.read_text()]
    assert len(said) == (40 if inside else 3), ended.stdout + ended.stderr
    assert "failed" not in ended.stdout + ended.stderr
