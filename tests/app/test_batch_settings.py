from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import smartsim.settings
from smartsim import Experiment
from smartsim.adapters.process.scripted import ScriptedProcessRunner
from smartsim.error import LauncherUnsupportedFeature, SmartSimError, SSConfigError, SSUnsupportedError
from smartsim.ports.process_runner import Completed
from smartsim.settings.base import BatchSettings
from smartsim.settings.settings import create_batch_settings
from smartsim.testing import fake_adapters

PROGRAMS = {"sbatch": "/usr/bin/sbatch", "qsub": "/opt/bin/qsub", "launch": "/opt/bin/launch"}
MACHINE = ScriptedProcessRunner(PROGRAMS)
CLUSTER = ScriptedProcessRunner(
    {**PROGRAMS, "scontrol": "/usr/bin/scontrol"},
    {("scontrol", "ping"): Completed(0, "Slurmctld(primary) at login1 is UP\n", "")},
)

OF_LAUNCHER = {
    "slurm": ("SbatchSettings", ("--nodes=2", "--time=01:00:00", "--account=acc")),
    "pbs": ("QsubBatchSettings", ("-l nodes=2", "-l walltime=01:00:00", "-A acc")),
    "pals": ("QsubBatchSettings", ("-l nodes=2", "-l walltime=01:00:00", "-A acc")),
    "lsf": ("BsubBatchSettings", ("-W 01:00", "-P acc", "-nnodes 2")),
    "sge": ("SgeQsubBatchSettings", ("-l h_rt=01:00:00", "-A acc")),
    "cobalt": ("CobaltBatchSettings", ("-n 2", "-t 01:00:00", "-A acc")),
    "flux": ("FluxBatchSettings", ("--nodes=2", "--time-limit=3600s", "--bank=acc")),
}


@pytest.mark.parametrize("launcher", OF_LAUNCHER)
def test_a_launcher_has_its_class(launcher: str) -> None:
    name, directives = OF_LAUNCHER[launcher]
    settings = create_batch_settings(launcher.upper(), 2, "01:00:00", "", "acc", processes=MACHINE)
    assert type(settings) is getattr(smartsim.settings, name)
    assert isinstance(settings, BatchSettings)
    assert settings.directives() == directives


@pytest.mark.parametrize("launcher", sorted(OF_LAUNCHER.keys() - {"sge"}))
def test_the_queue_is_an_option_of_every_scheduler(launcher: str) -> None:
    settings = create_batch_settings(launcher, 1, "5", "debug", batch_args={"x": 0}, processes=MACHINE)
    assert any("debug" in directive for directive in settings.directives())
    assert "-x 0" in settings.directives()


@pytest.mark.parametrize("launcher", ["auto", "dragon"])
def test_the_machine_is_asked(launcher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SLURM_JOB_ID", "SLURM_JOBID", "PBS_JOBID", "LSB_JOBID", "COBALT_JOBID", "FLUX_URI"):
        monkeypatch.delenv(variable, raising=False)
    assert create_batch_settings(launcher, processes=CLUSTER).scheduler == "slurm"
    with pytest.raises(SmartSimError, match="^Local launcher does not support batch workloads"):
        create_batch_settings(launcher, processes=MACHINE)


def test_the_local_launcher_has_no_batch_jobs() -> None:
    with pytest.raises(SmartSimError, match="^Local launcher does not support batch workloads"):
        create_batch_settings("local", nodes=2)


def test_an_unknown_launcher_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(SSUnsupportedError, match=r"Launcher type not supported: slurmm\. Choose among local, slurm"):
        create_batch_settings("slurmm")


def test_settings_of_one_scheduler_are_handed_on() -> None:
    settings = create_batch_settings("pbs", ncpus=4, resources={"select": 3}, processes=MACHINE)
    assert settings.directives() == ("-l select=3:ncpus=4",)
    with pytest.raises(SSConfigError, match="select and nodes exclude each other"):
        create_batch_settings("pbs", nodes=1, resources={"select": 3}, processes=MACHINE)
    assert create_batch_settings("lsf", smts=2, processes=MACHINE).directives() == ("-alloc_flags smt2",)


def test_settings_of_another_scheduler_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    create_batch_settings("slurm", ncpus=4, processes=MACHINE)
    BatchSettings("sbatch", processes=MACHINE, ncpus=4)
    assert caplog.messages == [
        "SbatchSettings does not know the arguments ncpus: they have no effect",
        "BatchSettings does not know the arguments ncpus: they have no effect",
    ]


def test_grid_engine_counts_no_nodes(caplog: pytest.LogCaptureFixture) -> None:
    create_batch_settings("sge", nodes=1, processes=MACHINE)
    assert caplog.messages == []
    assert create_batch_settings("sge", nodes=4, processes=MACHINE).directives() == ()
    assert caplog.messages == [
        "nodes=4 has no effect on Grid Engine, which counts slots: give ncpus and pe_type",
    ]
    with pytest.raises(LauncherUnsupportedFeature, match="queue='all.q'"):
        create_batch_settings("sge", queue="all.q", processes=MACHINE)


def test_the_command_is_looked_up_whenever_it_is_set() -> None:
    settings = create_batch_settings("slurm", processes=MACHINE)
    assert settings.batch_cmd == "/usr/bin/sbatch"
    settings.set_batch_command("elsewhere")
    assert settings.batch_cmd == "elsewhere"
    settings.set_batch_command("launch")
    assert settings.copy().batch_cmd == "/opt/bin/launch"


ARGUMENTS: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("SbatchSettings", {"nodes": 2, "time": "5", "account": "a", "batch_args": {"x": 1}, "queue": "q"}, ("--nodes=2",)),
    ("QsubBatchSettings", {"nodes": 2, "ncpus": 4, "resources": {"mem": "1gb"}}, ("-l nodes=2:ncpus=4", "-l mem=1gb")),
    ("BsubBatchSettings", {"nodes": 2, "project": "p", "smts": 4}, ("-P p", "-alloc_flags smt4")),
    ("SgeQsubBatchSettings", {"ncpus": 2, "pe_type": "mpi", "shebang": "#!/bin/sh"}, ("-pe mpi 2",)),
    ("CobaltBatchSettings", {"nodes": 2, "time": "5", "account": "a"}, ("-n 2", "-t 5", "-A a")),
    ("FluxBatchSettings", {"nodes": 2, "time": "5m", "account": "a"}, ("--nodes=2", "--time-limit=5m", "--bank=a")),
]


@pytest.mark.parametrize(("name", "arguments", "directives"), ARGUMENTS)
def test_the_classes_can_be_made_by_hand(name: str, arguments: dict[str, Any], directives: tuple[str, ...]) -> None:
    settings = getattr(smartsim.settings, name)(processes=MACHINE, **arguments)
    assert set(directives) <= set(settings.directives())


def test_an_experiment_asks_the_machine_that_it_was_given(tmp_path: Path) -> None:
    experiment = Experiment("e", str(tmp_path), adapters=replace(fake_adapters(), processes=MACHINE), launcher="slurm")
    assert experiment.create_batch_settings(nodes=3).batch_cmd == "/usr/bin/sbatch"
