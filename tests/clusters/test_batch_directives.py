"""The directives of batch settings, read by the real schedulers; and so are those of our own readers of directives."""

from __future__ import annotations

from pathlib import Path

import pytest

import directive_readers as read
from schedulers import GridEngine, Slurm
from smartsim.settings import SbatchSettings, SgeQsubBatchSettings

NASTY = [
    "a b",
    "'",
    '"',
    "\\",
    "a\\b \\\\ c",
    "#no comment",
    "a#b",
    "'a' \"b\" \\",
    "$HOME `id` %j ;&|<>()[]{}*?~!",
    "é ☃",
    "tab\there",
    ":a",
    " a ",
    "--x=1",
    "=",
]


def submit(slurm: Slurm, directory: Path, *directives: str) -> dict[str, str]:
    """Return what Slurm knows of a job with some directives; it never runs."""
    script = directory / "job.sh"
    lines = ["#!/bin/sh", "#SBATCH --hold", *(f"#SBATCH {directive}" for directive in directives), "true"]
    script.write_text("\n".join([*lines, ""]))
    job = slurm.ask("sbatch", "--parsable", f"--output={directory}/out", str(script)).strip()
    try:
        said = slurm.ask("scontrol", "show", "job", job)
    finally:
        slurm.cancel(job)
    # It writes a blank behind every comment.
    comments = [line[:-1].removeprefix("   Comment=") for line in said.splitlines() if line.startswith("   Comment=")]
    return {"Comment": "".join(comments), "TimeLimit": said.partition("TimeLimit=")[2].split()[0]}


@pytest.mark.parametrize("value", NASTY)
def test_slurm_reads_what_was_meant(slurm: Slurm, tmp_path: Path, value: str) -> None:
    directives = SbatchSettings(batch_args={"comment": value}).directives()
    assert submit(slurm, tmp_path, *directives)["Comment"] == value


@pytest.mark.parametrize(
    "line",
    [
        "--comment=a'b'\"c\"",
        "--comment='a\\\\b'",
        '--comment="a \'b\' \\"c\\""',
        "--comment=a\\#b#c",
        '"--comment=a b" # --comment=c',
        "--comment=a --comment=b",
    ],
)
def test_our_reader_reads_as_slurm_does(slurm: Slurm, tmp_path: Path, line: str) -> None:
    expected = read.slurm(line)[-1].removeprefix("--comment=")
    assert submit(slurm, tmp_path, line)["Comment"] == expected


@pytest.mark.parametrize(
    ("time", "limit"),
    [
        ("36:00:00", "1-12:00:00"),
        ("1-12:00:00", "1-12:00:00"),
        ("90", "01:30:00"),
        ("10:00", "00:10:00"),
        ("2-0", "2-00:00:00"),
    ],
)
def test_slurm_takes_walltimes_of_a_day_and_more(slurm: Slurm, tmp_path: Path, time: str, limit: str) -> None:
    assert submit(slurm, tmp_path, *SbatchSettings(time=time).directives())["TimeLimit"] == limit


def submit_to_grid_engine(sge: GridEngine, directory: Path, *directives: str) -> dict[str, str]:
    """Return what Grid Engine knows of a job with some directives; it never runs."""
    script = directory / "job.sh"
    lines = ["#!/bin/sh", "#$ -h", *(f"#$ {directive}" for directive in directives), "true"]
    script.write_text("\n".join([*lines, ""]))
    job = sge.ask("qsub", "-terse", "-o", "/dev/null", "-e", "/dev/null", str(script)).strip()
    try:
        said = sge.ask("qstat", "-j", job)
    finally:
        sge.cancel(job)
    return {name: value.strip() for name, _, value in (line.partition(":") for line in said.splitlines())}


@pytest.mark.parametrize("value", ["a b", "a\\b", "$HOME `id` %j ;&|<>()[]{}*?~!", "é", "=", " a", "a  b"])
def test_grid_engine_reads_what_was_meant(sge: GridEngine, tmp_path: Path, value: str) -> None:
    settings = SgeQsubBatchSettings()
    settings.update_context_variables("ac", "NOTE", value)
    assert submit_to_grid_engine(sge, tmp_path, *settings.directives())["context"] == f"NOTE={value}"


@pytest.mark.parametrize("line", ["-ac A=a'b c'\"d e\"", "-ac \"A='b'\"", "-ac A=b#c", "-ac A=\\b"])
def test_our_reader_reads_as_grid_engine_does(sge: GridEngine, tmp_path: Path, line: str) -> None:
    assert submit_to_grid_engine(sge, tmp_path, line)["context"] == read.sge(line)[1]


def test_grid_engine_takes_every_setting(sge: GridEngine, tmp_path: Path) -> None:
    settings = SgeQsubBatchSettings(time="1-12:00:00", ncpus=6, pe_type="mpi")
    settings.set_threads_per_pe(2)
    settings.update_context_variables("ac", "FOO", 1)
    known = submit_to_grid_engine(sge, tmp_path, *settings.directives())
    assert known["hard resource_list"] == "h_rt=129600"
    assert known["parallel environment"] == "mpi range: 6"
    assert known["context"] == "FOO=1"
    assert "OMP_NUM_THREADS=2" in known["env_list"]
