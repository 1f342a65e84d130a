from __future__ import annotations

from typing import Any

import pytest

from run_commands import SETTERS, Told, check_setter, line, text
from smartsim.domain.resources import ResourceRequest
from smartsim.domain.settings.container import Singularity
from smartsim.domain.settings.pals import PalsMpiexecSettings

OPTIONS = {
    "tasks": ["--np", "4"],
    "tasks_per_node": ["--ppn", "2"],
    "hostlist": ["--hosts", "n1,n2"],
    "hostlist_from_file": ["--hostfile", "hosts.txt"],
    "verbose_launch": ["--verbose"],
    "broadcast": ["--transfer"],
}


class Pals(Told, PalsMpiexecSettings):
    pass


@pytest.mark.parametrize("setter", SETTERS)
def test_the_options_of_the_generic_setters(setter: str) -> None:
    check_setter(Pals("solver"), setter, OPTIONS.get(setter))


def test_the_command_as_a_whole() -> None:
    settings = PalsMpiexecSettings("exe", "args", env_vars={"A": 1, "B": None})
    settings.set_tasks(4)
    settings.set_tasks_per_node(2)
    settings.set_hostlist("a")
    settings.set_cpu_binding_type("numa")
    settings.set_gpu_affinity_script("/aff.sh", 1)
    assert text(settings) == (
        "mpiexec --wdir /exp/m --env A=1 --envlist B --np 4 --ppn 2 --hosts a --cpu-bind numa /aff.sh 1 exe args"
    )


def test_the_affinity_script_comes_before_what_wraps_the_application_and_its_container() -> None:
    settings = PalsMpiexecSettings("exe", container=Singularity("i.sif"))
    settings.set_gpu_affinity_script("/aff.sh")
    assert text(settings, ("supervise",)) == (
        "mpiexec --wdir /exp/m /aff.sh supervise singularity exec --pwd /exp/m --bind /exp/m i.sif exe"
    )


def test_variables_with_commas_are_kept_whole() -> None:
    settings = PalsMpiexecSettings("exe", env_vars={"A": "x,y", "B": None, "C": ""})
    assert settings.format_env_vars() == ["--env", "A=x,y", "--env", "C=", "--envlist", "B"]


@pytest.mark.parametrize(("args", "error"), [((1.5,), TypeError), ((None,), TypeError), ((":",), ValueError)])
def test_arguments_of_the_affinity_script_that_cannot_be_are_refused(args: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="an argument of the affinity script"):
        PalsMpiexecSettings("exe").set_gpu_affinity_script("/aff.sh", *args)


def test_the_place_of_a_broadcast_is_not_the_users() -> None:
    settings = Pals("solver")
    settings.set_broadcast("/tmp/x")
    assert settings.format_run_args() == ["--transfer"]
    assert settings.told == ["Pals cannot choose where the executable is copied to: /tmp/x is ignored"]


def test_several_programs_stand_with_a_colon_between_them() -> None:
    settings, other = PalsMpiexecSettings("exe", run_args={"np": 1}), PalsMpiexecSettings("exe2", env_vars={"Z": 2})
    other.set_tasks(2)
    other.set_gpu_affinity_script("/aff.sh")
    settings.make_mpmd(other)
    assert line(settings).argv == ("exe", ":", "--env", "Z=2", "--np", "2", "/aff.sh", "exe2")


@pytest.mark.parametrize(
    ("run_args", "asked"),
    [
        ({"np": 4, "ppn": 2, "depth": 8}, ResourceRequest(tasks=4, tasks_per_node=2, cpus_per_task=8)),
        ({"hosts": "a,b", "n": 2, "d": 1}, ResourceRequest(tasks=2, hosts=("a", "b"))),
        ({"cpu-bind": "numa"}, None),
    ],
)
def test_the_resources_are_what_the_options_ask_for(run_args: dict[str, Any], asked: ResourceRequest | None) -> None:
    assert PalsMpiexecSettings("solver", run_args=run_args).resources() == asked
