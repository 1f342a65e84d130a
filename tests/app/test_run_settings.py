from __future__ import annotations

from typing import Any

import pytest

from run_commands import line
from smartsim.adapters.process.scripted import ScriptedProcessRunner
from smartsim.domain.settings.mpi import MpiFlavour
from smartsim.error import LauncherError, SmartSimError, SSUnsupportedError
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
    SrunSettings,
)
from smartsim.settings.settings import create_run_settings


def machine(*programs: str) -> ScriptedProcessRunner:
    return ScriptedProcessRunner({"solver": "/opt/bin/solver", **{name: f"/bin/{name}" for name in programs}})


class TestAuto:
    @pytest.mark.parametrize(
        ("launcher", "programs", "settings_class"),
        [
            ("slurm", ["mpiexec", "mpirun", "srun"], SrunSettings),
            ("slurm", ["mpiexec", "mpirun"], MpirunSettings),
            ("slurm", ["mpiexec", "jsrun"], MpiexecSettings),
            ("pbs", ["aprun", "mpirun", "srun"], AprunSettings),
            ("pbs", ["mpirun", "mpiexec"], MpirunSettings),
            ("pals", ["aprun", "mpirun", "mpiexec"], PalsMpiexecSettings),
            ("lsf", ["jsrun", "mpirun"], JsrunSettings),
            ("lsf", ["mpiexec"], MpiexecSettings),
            ("sge", ["srun", "mpirun", "mpiexec"], MpirunSettings),
            ("sge", ["mpiexec"], MpiexecSettings),
            ("cobalt", ["aprun", "mpirun"], AprunSettings),
            ("flux", ["flux", "mpirun"], FluxRunSettings),
            ("flux", ["mpirun"], MpirunSettings),
            ("local", ["srun", "mpirun"], RunSettings),
            ("dragon", ["srun", "mpirun"], DragonRunSettings),
        ],
    )
    def test_takes_the_first_run_command_of_the_launcher(
        self, launcher: str, programs: list[str], settings_class: type[RunSettings]
    ) -> None:
        assert type(create_run_settings(launcher.upper(), "solver", processes=machine(*programs))) is settings_class

    @pytest.mark.parametrize("launcher", ["slurm", "pbs", "pals", "lsf", "sge", "cobalt", "flux"])
    def test_finds_none_on_a_machine_without(self, launcher: str) -> None:
        with pytest.raises(SmartSimError, match=f"Could not find a run command for the launcher {launcher}: none of "):
            create_run_settings(launcher, "solver", processes=machine())

    def test_asks_which_launcher_there_is(self) -> None:
        answers: dict[tuple[str, ...], Completed] = {("scontrol", "ping"): Completed(0, "Slurmctld(primary) is UP", "")}
        programs = {"solver": "/opt/bin/solver", "scontrol": "/bin/scontrol", "srun": "/bin/srun"}
        settings = create_run_settings("auto", "solver", processes=ScriptedProcessRunner(programs, answers))
        assert type(settings) is SrunSettings

    def test_is_no_run_command_where_there_is_no_launcher(self) -> None:
        assert create_run_settings("auto", "solver", processes=machine()).run_command is None


class TestRunCommand:
    @pytest.mark.parametrize("launcher", ["local", "slurm", "sge"])
    @pytest.mark.parametrize(
        ("run_command", "settings_class"),
        [
            ("srun", SrunSettings),
            ("SRUN", SrunSettings),
            ("mpirun", MpirunSettings),
            ("mpiexec", MpiexecSettings),
            ("orterun", OrterunSettings),
            ("aprun", AprunSettings),
            ("jsrun", JsrunSettings),
            ("flux", FluxRunSettings),
            ("", RunSettings),
            (None, RunSettings),
            ("my-launcher", RunSettings),
        ],
    )
    def test_decides_under_any_launcher(
        self, launcher: str, run_command: str | None, settings_class: type[RunSettings]
    ) -> None:
        runner = machine("srun", "mpirun", "mpiexec", "orterun", "aprun", "jsrun", "flux")
        settings = create_run_settings(launcher, "solver", "a", run_command, {"np": 2}, {"A": 1}, processes=runner)
        assert type(settings) is settings_class
        assert (settings.exe_args, settings.run_args, settings.env_vars) == (["a"], {"np": 2}, {"A": "1"})

    def test_mpiexec_is_that_of_pals_under_pals(self) -> None:
        settings = create_run_settings("pals", "solver", run_command="mpiexec", processes=machine("mpiexec"))
        assert type(settings) is PalsMpiexecSettings

    def test_of_the_users_own_gets_its_options_as_they_are(self) -> None:
        settings = create_run_settings("slurm", "solver", None, "/My/Launch", {"--np": 4}, processes=machine())
        assert line(settings).launch == ("/My/Launch", "--np", "4")

    @pytest.mark.parametrize(
        ("launcher", "path", "settings_class"),
        [
            ("slurm", "/usr/bin/srun", SrunSettings),
            ("slurm", "/opt/mpi/bin/mpirun", MpirunSettings),
            ("lsf", "/opt/mpi/bin/mpiexec", MpiexecSettings),
            ("pals", "/opt/mpi/bin/mpiexec", PalsMpiexecSettings),
            ("sge", "/opt/mpi/bin/orterun", OrterunSettings),
            ("cobalt", "/opt/cray/bin/aprun", AprunSettings),
            ("lsf", "/opt/ibm/bin/jsrun", JsrunSettings),
            ("flux", "/opt/flux/bin/flux", FluxRunSettings),
            ("local", "/opt/mpi/bin/mpirun", MpirunSettings),
            ("local", "/home/me/my-launcher", RunSettings),
        ],
    )
    def test_may_be_given_by_its_path(self, launcher: str, path: str, settings_class: type[RunSettings]) -> None:
        programs = {"solver": "/opt/bin/solver", "mpirun": "/bin/mpirun", "srun": "/bin/srun", path: path}
        runner = ScriptedProcessRunner(programs)
        settings = create_run_settings(launcher, "solver", run_command=path, run_args={"x": 1}, processes=runner)
        assert type(settings) is settings_class
        assert settings.run_command == path
        assert settings.ranks == settings_class.ranks

    def test_that_is_given_by_its_path_is_asked_whose_it_is(self) -> None:
        path = "/opt/mpich/bin/mpirun"
        answers: dict[tuple[str, ...], Completed] = {
            ("/bin/mpirun", "--version"): Completed(0, "mpirun (Open MPI) 4.1.6", ""),
            (path, "--version"): Completed(0, "HYDRA build details:\n    Version: 4.1.2", ""),
        }
        programs = {"solver": "/opt/bin/solver", "mpirun": "/bin/mpirun", path: path}
        runner = ScriptedProcessRunner(programs, answers)
        settings = create_run_settings("slurm", "solver", run_command=path, processes=runner)
        assert isinstance(settings, MpirunSettings)
        assert settings.flavour is MpiFlavour.MPICH
        settings.set_hostlist(["n1", "n2"])
        settings.set_tasks(2)
        assert line(settings).launch[0] == path
        assert settings.format_run_args() == ["-hosts", "n1,n2", "-n", "2"]
        request = settings.resources()
        assert request is not None  # so that it is placed
        assert (request.tasks, request.hosts) == (2, ("n1", "n2"))

    def test_of_mpi_that_is_not_there_is_an_error(self) -> None:
        with pytest.raises(LauncherError, match="Cannot find mpirun"):
            create_run_settings("local", "solver", run_command="mpirun", processes=machine())

    @pytest.mark.parametrize("run_command", ["auto", "srun", "mpirun", None])
    def test_does_not_matter_to_dragon(self, run_command: str | None, caplog: pytest.LogCaptureFixture) -> None:
        settings = create_run_settings("dragon", "solver", "a", run_command, {"np": 2}, {"A": 1}, processes=machine())
        assert type(settings) is DragonRunSettings
        assert (settings.exe_args, settings.run_args, settings.env_vars) == (["a"], {}, {"A": "1"})
        assert caplog.messages == ["The launcher dragon has no run command: {'np': 2} has no effect"]

    def test_further_arguments_are_those_of_the_class(self) -> None:
        settings = create_run_settings("slurm", "solver", alloc="17", processes=machine("srun"))
        assert settings.allocation == "17"

    @pytest.mark.parametrize(("launcher", "run_command"), [(None, "auto"), ("local", 3)])
    def test_is_text(self, launcher: Any, run_command: Any) -> None:
        with pytest.raises(TypeError, match="must be a str"):
            create_run_settings(launcher, "solver", run_command=run_command, processes=machine())


def test_an_unknown_launcher_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(SSUnsupportedError, match=r"Launcher type not supported: slurmm\. Choose among local, slurm"):
        create_run_settings("slurmm", "solver")
