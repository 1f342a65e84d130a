from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import smartsim.settings
from run_commands import line
from smartsim.adapters.process.scripted import ScriptedProcessRunner
from smartsim.domain.settings.mpi import MpiFlavour
from smartsim.error import LauncherError, SSUnsupportedError
from smartsim.ports.process_runner import Completed
from smartsim.settings import (
    AprunSettings,
    DragonRunSettings,
    FluxRunSettings,
    JsrunSettings,
    MpiexecSettings,
    MpirunSettings,
    OrterunSettings,
    PalsMpiexecSettings,
    RunSettings,
    Singularity,
    SrunSettings,
)

PROGRAMS = {
    "solver": "/opt/bin/solver",
    **{name: f"/usr/bin/{name}" for name in ("srun", "aprun", "jsrun", "flux", "mpirun", "mpiexec", "orterun")},
}
MACHINE = ScriptedProcessRunner(PROGRAMS)
BARE = ScriptedProcessRunner({"solver": "/opt/bin/solver"})
MPI: list[type[MpirunSettings | MpiexecSettings | OrterunSettings | PalsMpiexecSettings]] = [
    MpirunSettings,
    MpiexecSettings,
    OrterunSettings,
    PalsMpiexecSettings,
]


def answering(program: str, version: str = "", text: str = "") -> ScriptedProcessRunner:
    path = PROGRAMS[program]
    answers: dict[tuple[str, ...], Completed] = {(path, "--version"): Completed(0, version, "")}
    answers[path, "--help"] = Completed(0, "", text)
    return ScriptedProcessRunner(PROGRAMS, answers)


class TestAll:
    @pytest.mark.parametrize(
        ("settings_class", "program"),
        [
            (SrunSettings, "/usr/bin/srun"),
            (AprunSettings, "/usr/bin/aprun"),
            (JsrunSettings, "/usr/bin/jsrun"),
            (FluxRunSettings, "/usr/bin/flux"),
            (MpirunSettings, "/usr/bin/mpirun"),
            (MpiexecSettings, "/usr/bin/mpiexec"),
            (OrterunSettings, "/usr/bin/orterun"),
            (PalsMpiexecSettings, "/usr/bin/mpiexec"),
        ],
    )
    def test_are_made_of_what_the_machine_has(self, settings_class: Any, program: str) -> None:
        settings = settings_class("solver", "a b", {"quiet": None}, {"A": 1}, processes=MACHINE)
        assert isinstance(settings, RunSettings)
        assert settings.run_command == program
        assert line(settings).launch[0] == program
        assert line(settings).argv[-3:] == ("/opt/bin/solver", "a", "b")
        assert (settings.run_args, settings.env_vars) == ({"quiet": None}, {"A": "1"})

    @pytest.mark.parametrize("settings_class", [SrunSettings, AprunSettings, JsrunSettings, FluxRunSettings])
    def test_a_run_command_that_is_not_here_may_be_where_the_job_runs(self, settings_class: Any) -> None:
        settings = settings_class("solver", processes=BARE)
        assert settings.run_command == settings_class.program

    def test_what_is_not_supported_is_warned_of(self, caplog: pytest.LogCaptureFixture) -> None:
        settings = SrunSettings("solver", processes=MACHINE, fail_if_missing_exec=False)
        settings.set_task_map("block")
        assert caplog.messages == [
            "SrunSettings does not know the arguments fail_if_missing_exec: they have no effect",
            "Task mapping specification not implemented for this RunSettings type: SrunSettings",
        ]

    def test_of_dragon_have_no_options_at_first(self) -> None:
        settings = DragonRunSettings("solver", "a b", {"A": 1}, processes=MACHINE)
        assert (settings.run_command, settings.run_args, settings.env_vars) == (None, {}, {"A": "1"})

    def test_are_all_in_one_place(self) -> None:
        assert {name for name in smartsim.settings.__all__ if not name.endswith("atchSettings")} == {
            "AprunSettings",
            "Container",
            "DragonRunSettings",
            "FluxRunSettings",
            "JsrunSettings",
            "MpiexecSettings",
            "MpirunSettings",
            "OrterunSettings",
            "PalsMpiexecSettings",
            "RunSettings",
            "SettingsBase",
            "Singularity",
            "SrunSettings",
        }


class TestContainers:
    @pytest.mark.parametrize("settings_class", [RunSettings, MpirunSettings, JsrunSettings, SrunSettings])
    @pytest.mark.parametrize(
        ("installed", "program"),
        [(["singularity", "apptainer"], "/usr/bin/singularity"), (["apptainer"], "/usr/bin/apptainer")],
    )
    def test_are_entered_by_the_program_that_is_there(
        self, settings_class: Any, installed: list[str], program: str
    ) -> None:
        machine = ScriptedProcessRunner(PROGRAMS | {name: f"/usr/bin/{name}" for name in installed})
        settings = settings_class("inside", container=Singularity("i.sif"), processes=machine)
        assert line(settings).argv == (
            program, "exec", "--pwd", "/exp/m", "--bind", "/exp/m", "i.sif", "inside",
        )  # fmt: skip

    def test_without_a_program_are_warned_of(self, caplog: pytest.LogCaptureFixture) -> None:
        settings = RunSettings("inside", container=Singularity("i.sif"), processes=MACHINE)
        assert line(settings).argv[0] == "singularity"
        assert caplog.messages == [
            "Unable to find singularity or apptainer on this machine: inside can only run where singularity is in PATH"
        ]


class TestSrun:
    @pytest.mark.parametrize(("alloc", "kept"), [(None, None), (17, "17"), ("17", "17")])
    def test_an_allocation_is_named_by_its_number(self, alloc: str | int | None, kept: str | None) -> None:
        assert SrunSettings("solver", alloc=alloc, processes=MACHINE).allocation == kept

    @pytest.mark.parametrize("alloc", [1.5, True, ["17"]])
    def test_an_allocation_that_cannot_be_is_refused(self, alloc: Any) -> None:
        with pytest.raises(TypeError, match="alloc must be the number of an allocation"):
            SrunSettings("solver", alloc=alloc, processes=MACHINE)

    def test_a_heterogeneous_job_is_that_of_the_driver(self, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = SrunSettings("solver", processes=MACHINE)
        monkeypatch.delenv("SLURM_HET_SIZE", raising=False)
        with pytest.raises(ValueError, match="SLURM_HET_SIZE is not set"):
            settings.set_het_group([0])
        monkeypatch.setenv("SLURM_HET_SIZE", "2")
        settings.set_het_group([0, 1])
        assert settings.run_args == {"het-group": "0,1"}

    def test_variables_of_the_driver_with_another_value_are_warned_of(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        SrunSettings("solver", env_vars={"OMP_NUM_THREADS": 4}, processes=MACHINE).check_env_vars()
        assert caplog.messages == ["Variable OMP_NUM_THREADS is 1 in the current environment: the step gets 4"]


class TestMpi:
    @pytest.mark.parametrize("settings_class", MPI)
    def test_a_run_command_that_is_not_here_is_an_error(self, settings_class: Any) -> None:
        message = f"Cannot find {settings_class.program}. Try passing the full path via run_command."
        with pytest.raises(LauncherError, match=message):
            settings_class("solver", processes=BARE)

    @pytest.mark.parametrize("settings_class", MPI)
    def test_or_a_warning_if_asked_for(self, settings_class: Any, caplog: pytest.LogCaptureFixture) -> None:
        settings = settings_class("solver", None, None, None, False, processes=BARE)
        assert settings.run_command == settings_class.program
        assert caplog.messages == [f"Cannot find {settings_class.program}. Try passing the full path via run_command."]

    def test_its_path_may_be_given(self) -> None:
        machine = ScriptedProcessRunner({**PROGRAMS, "mpich": "/opt/mpich/bin/mpirun"})
        settings = MpirunSettings("solver", run_command="/opt/mpich/bin/mpirun", processes=machine)
        assert line(settings).launch[0] == "/opt/mpich/bin/mpirun"

    @pytest.mark.parametrize(
        ("version", "flavour", "words"),
        [
            ("mpirun (Open MPI) 5.0.11", MpiFlavour.OPEN_MPI_5, ["--npernode", "2"]),
            ("HYDRA build details:\n", MpiFlavour.MPICH, ["-ppn", "2"]),
            ("Intel(R) MPI Library for Linux* OS", MpiFlavour.INTEL, ["-ppn", "2"]),
            ("", MpiFlavour.OPEN_MPI, ["--npernode", "2"]),
        ],
    )
    def test_it_is_asked_whose_it_is(self, version: str, flavour: MpiFlavour, words: list[str]) -> None:
        settings = MpirunSettings("solver", processes=answering("mpirun", version))
        settings.set_tasks_per_node(2)
        assert settings.flavour is flavour
        assert settings.copy().format_run_args() == words

    def test_one_that_does_not_answer_is_spoken_to_as_open_mpi(self) -> None:
        assert MpirunSettings("solver", processes=MACHINE).flavour is MpiFlavour.OPEN_MPI

    def test_mpiexec_of_slurm_is_none(self) -> None:
        machine = answering("mpiexec", "something", "Usage: mpiexec.slurm args executable pgmargs")
        with pytest.raises(SSUnsupportedError, match="Slurm's wrapper for mpiexec is unsupported"):
            MpiexecSettings("solver", processes=machine)
        assert PalsMpiexecSettings("solver", processes=machine).run_command == "/usr/bin/mpiexec"

    def test_mpiexec_of_mpich(self) -> None:
        machine = answering("mpiexec", "HYDRA build details:", "Usage: ./mpiexec [global opts] [exec1 local opts]")
        assert MpiexecSettings("solver", processes=machine).flavour is MpiFlavour.MPICH

    def test_on_this_machine(self, tmp_path: Path) -> None:
        program = tmp_path / "mpirun"
        program.write_text("#!/bin/sh\necho 'HYDRA build details:'\n")
        program.chmod(0o755)
        settings = MpirunSettings(sys.executable, ["-c", "0"], {"n": 2}, run_command=str(program))
        assert line(settings).launch == (str(program), "-wdir", "/exp/m", "-n", "2")
        command = [*line(settings).launch, *line(settings).argv]
        assert subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
