from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from run_commands import SETTERS, Told, check_setter, line, text
from smartsim.domain.resources import ResourceRequest
from smartsim.domain.settings.container import Singularity
from smartsim.domain.settings.mpi import (
    MpiexecSettings,
    MpiFlavour,
    MpirunSettings,
    MpiSettings,
    OrterunSettings,
    mpi_flavour,
)

OPEN_MPI, OPEN_MPI_5, MPICH, INTEL = MpiFlavour
HYDRA = [MPICH, INTEL]
OPTIONS = {
    "tasks": ["--n", "4"],
    "tasks_per_node": ["--npernode", "2"],
    "task_map": ["--map-by", "ppr:2:node"],
    "cpus_per_task": ["--cpus-per-proc", "3"],
    "hostlist": ["--host", "n1,n2"],
    "hostlist_from_file": ["--hostfile", "hosts.txt"],
    "verbose_launch": ["--verbose"],
    "quiet_launch": ["--quiet"],
    "broadcast": ["--preload-binary"],
    "walltime": ["--timeout", "93605"],
    "time": ["--timeout", "93605"],
}
OF_HYDRA = {
    "tasks": ["-n", "4"],
    "tasks_per_node": ["-ppn", "2"],
    "hostlist": ["-hosts", "n1,n2"],
    "hostlist_from_file": ["-f", "hosts.txt"],
    "verbose_launch": ["-verbose"],
    "walltime": [],
    "time": [],
}
OF_MPICH = {**OF_HYDRA, "task_map": ["-map-by", "ppr:2:node"], "cpus_per_task": ["-bind-to", "core:3"]}
OF_INTEL = {**OF_HYDRA, "cpus_per_task": ["-env", "I_MPI_PIN_DOMAIN", "3"]}


class Mpirun(Told, MpirunSettings):
    pass


def of(flavour: MpiFlavour, *args: Any, **kwargs: Any) -> Mpirun:
    settings = Mpirun(*args, **kwargs)
    settings.flavour = flavour
    return settings


class TestFlavour:
    @pytest.mark.parametrize(
        ("version", "flavour"),
        [
            ("mpirun.openmpi (OpenRTE) 4.1.4\n\nReport bugs to http://www.open-mpi.org/community/help/\n", OPEN_MPI),
            ("mpirun (Open MPI) 5.0.11\n\nReport bugs to https://www.open-mpi.org/community/help/\n", OPEN_MPI_5),
            ("mpiexec (Open MPI) 10.0.1", OPEN_MPI_5),
            ("mpirun (Open MPI)", OPEN_MPI),
            ("HYDRA build details:\n    Version:                                 4.0.2\n", MPICH),
            ("Intel(R) MPI Library for Linux* OS, Version 2021.10 Build 20230619\n", INTEL),
            ("something else 1.0", None),
            ("", None),
        ],
    )
    def test_is_what_the_program_says(self, version: str, flavour: MpiFlavour | None) -> None:
        assert mpi_flavour(version) is flavour


class TestOptions:
    @pytest.mark.parametrize("setter", SETTERS)
    def test_of_open_mpi(self, setter: str) -> None:
        check_setter(Mpirun("solver"), setter, OPTIONS.get(setter))

    @pytest.mark.parametrize("setter", SETTERS)
    @pytest.mark.parametrize(
        ("flavour", "options"),
        [
            (OPEN_MPI_5, {name: words for name, words in OPTIONS.items() if name != "quiet_launch"}),
            (MPICH, OF_MPICH),
            (INTEL, OF_INTEL),
        ],
    )
    def test_of_others(self, flavour: MpiFlavour, options: dict[str, Sequence[str]], setter: str) -> None:
        check_setter(of(flavour, "solver"), setter, options.get(setter))

    @pytest.mark.parametrize(("flavour", "words"), [(OPEN_MPI, ["--bind-to", "core"]), (MPICH, ["-bind-to", "core"])])
    def test_binding(self, flavour: MpiFlavour, words: list[str]) -> None:
        settings = of(flavour, "solver")
        settings.set_cpu_binding_type("core")
        assert settings.format_run_args() == words

    def test_binding_that_intel_mpi_has_no_option_for(self) -> None:
        settings = of(INTEL, "solver")
        settings.set_cpu_binding_type("core")
        assert settings.format_run_args() == []
        assert settings.told == ["CPU binding type specification not implemented for this RunSettings type: Mpirun"]

    @pytest.mark.parametrize(
        ("bind", "words"),
        [("numa", ["-bind-to", "numa:3"]), ("core:2", ["-bind-to", "core:2"]), ("none", ["-bind-to", "none"])],
    )
    def test_cpus_of_a_rank_are_a_matter_of_binding_for_mpich(self, bind: str, words: list[str]) -> None:
        settings = of(MPICH, "solver")
        settings.set_cpus_per_task(3)
        settings.set_cpu_binding_type(bind)
        assert settings.format_run_args() == words

    @pytest.mark.parametrize(("flavour", "variable"), [(MPICH, "MPIEXEC_TIMEOUT"), (INTEL, "I_MPI_JOB_TIMEOUT")])
    def test_the_time_limit_of_hydra_is_a_variable(self, flavour: MpiFlavour, variable: str) -> None:
        settings = of(flavour, "solver")
        settings.set_walltime("1-00:00:10")
        assert settings.variables() == {variable: "86410"}

    def test_single_letters_have_one_dash_but_for_n(self) -> None:
        run_args: dict[str, Any] = {
            "n": 4,
            "--np": 2,
            "x": "A=1",
            "oversubscribe": None,
            "q": None,
            "mca": 0,
            "nooversubscribe": False,
        }
        assert MpirunSettings("solver", run_args=run_args).format_run_args() == [
            "--n", "4", "--np", "2", "-x", "A=1", "--oversubscribe", "-q", "--mca", "0",
        ]  # fmt: skip

    def test_the_place_of_a_broadcast_is_not_the_users(self) -> None:
        settings = Mpirun("solver")
        settings.set_broadcast("/tmp/x")
        assert settings.format_run_args() == ["--preload-binary"]
        assert settings.told == ["Mpirun cannot choose where the executable is copied to: /tmp/x is ignored"]

    @pytest.mark.parametrize("name", ["wd", "wdir"])
    def test_the_directory_is_not_the_users(self, name: str) -> None:
        settings = Mpirun("solver", run_args={name: "/elsewhere"})
        assert (settings.run_args, len(settings.told)) == ({}, 1)

    @pytest.mark.parametrize("flavour", MpiFlavour)
    def test_a_walltime_that_is_none_is_refused(self, flavour: MpiFlavour) -> None:
        with pytest.raises(ValueError, match="not a walltime: write it as HH:MM:SS"):
            of(flavour, "solver").set_walltime("soon")


class TestCommand:
    @pytest.mark.parametrize(
        ("settings_class", "program"),
        [(MpirunSettings, "mpirun"), (MpiexecSettings, "mpiexec"), (OrterunSettings, "orterun")],
    )
    def test_as_a_whole(self, settings_class: type[MpiSettings], program: str) -> None:
        settings = settings_class("exe", "args", env_vars={"A": 1, "B": None})
        settings.set_tasks(4)
        settings.set_hostlist(["a", "b"])
        settings.set_task_map("ppr:2:node")
        settings.set_cpu_binding_type("core")
        settings.set_tasks_per_node(2)
        settings.set_cpus_per_task(3)
        settings.set_walltime("100")
        settings.set_broadcast()
        assert text(settings) == (
            f"{program} --wdir /exp/m -x A=1 -x B --n 4 --host a,b --map-by ppr:2:node --bind-to core --npernode 2 "
            "--cpus-per-proc 3 --timeout 100 --preload-binary exe args"
        )
        assert settings.variables() == {"A": "1"}

    @pytest.mark.parametrize("flavour", HYDRA)
    def test_of_hydra(self, flavour: MpiFlavour) -> None:
        settings = of(flavour, "exe", ["a b"], env_vars={"A": "x,y 'z'", "EMPTY": "", "INHERITED": None})
        settings.set_tasks(4)
        assert line(settings).launch == (
            "mpirun", "-wdir", "/exp/m", "-env", "A", "x,y 'z'", "-env", "EMPTY", "", "-n", "4",
        )  # fmt: skip

    def test_an_empty_text_is_a_value(self) -> None:
        settings = MpirunSettings("exe", env_vars={"EMPTY": "", "NONE": None})
        assert settings.format_env_vars() == ["-x", "EMPTY=", "-x", "NONE"]
        assert settings.variables() == {"EMPTY": ""}

    def test_the_container_stands_before_the_executable(self) -> None:
        settings = MpirunSettings("exe", run_args={"n": 2}, container=Singularity("i.sif"))
        assert text(settings, ("supervise",)) == (
            "mpirun --wdir /exp/m --n 2 supervise singularity exec --pwd /exp/m --bind /exp/m i.sif exe"
        )

    def test_the_path_of_the_run_command_is_kept(self) -> None:
        assert line(MpirunSettings("exe", run_command="/opt/mpi/bin/mpirun")).launch[0] == "/opt/mpi/bin/mpirun"


class TestSeveralPrograms:
    def test_stand_with_a_colon_between_them(self) -> None:
        settings = MpirunSettings("exe", ["1 2"], run_args={"n": 1})
        settings.make_mpmd(MpirunSettings("exe2", [":"], run_args={"n": 2}, env_vars={"Z": 2}))
        assert line(settings).argv == (
            "exe", "1 2", ":", "--n", "2", "-x", "Z=2", "/bin/sh", "-c", "exec exe2 :",
        )  # fmt: skip

    def test_may_have_containers(self) -> None:
        settings = MpirunSettings("exe")
        settings.make_mpmd(MpirunSettings("exe2", container=Singularity("i.sif")))
        assert text(settings).endswith("exe : singularity exec --pwd /exp/m --bind /exp/m i.sif exe2")

    def test_of_hydra_have_variables_of_their_own(self) -> None:
        settings = of(MPICH, "exe", run_args={"n": 1}, env_vars={"A": 1})
        settings.make_mpmd(of(MPICH, "exe2", run_args={"n": 2}, env_vars={"A": 2}))
        assert text(settings) == "mpirun -wdir /exp/m -env A 1 -n 1 exe : -n 2 -env A 2 exe2"


@pytest.mark.parametrize(
    ("run_args", "asked"),
    [
        (
            {"n": 4, "npernode": 2, "cpus-per-proc": 3},
            ResourceRequest(tasks=4, tasks_per_node=2, cpus_per_task=3),
        ),
        ({"np": "4", "ppn": 2}, ResourceRequest(tasks=4, tasks_per_node=2)),
        ({"host": "a:2,b"}, ResourceRequest(nodes=2, hosts=("a", "b"))),
        ({"bind-to": "core"}, None),
        ({"n": "all"}, None),
    ],
)
def test_the_resources_are_what_the_options_ask_for(run_args: dict[str, Any], asked: ResourceRequest | None) -> None:
    assert MpirunSettings("solver", run_args=run_args).resources() == asked
