from __future__ import annotations

from typing import Any

import pytest

from run_commands import SETTERS, Told, check_setter, line, text
from smartsim.domain.errors import SSUnsupportedError
from smartsim.domain.resources import ResourceRequest
from smartsim.domain.settings.aprun import AprunSettings
from smartsim.domain.settings.container import Singularity

OPTIONS = {
    "tasks": ["--pes=4"],
    "tasks_per_node": ["--pes-per-node=2"],
    "cpus_per_task": ["--cpus-per-pe=3"],
    "hostlist": ["--node-list=n1,n2"],
    "hostlist_from_file": ["--node-list-file=hosts.txt"],
    "excluded_hosts": ["--exclude-node-list=n3"],
    "cpu_bindings": ["--cpu-binding=0,2"],
    "memory_per_node": ["--memory-per-pe=100"],
    "verbose_launch": ["--debug=7"],
    "quiet_launch": ["--quiet"],
    "walltime": ["--cpu-time-limit=93605"],
    "time": ["--cpu-time-limit=93605"],
}


class Aprun(Told, AprunSettings):
    pass


@pytest.mark.parametrize("setter", SETTERS)
def test_the_options_of_the_generic_setters(setter: str) -> None:
    check_setter(Aprun("solver"), setter, OPTIONS.get(setter))


def test_the_command_as_a_whole() -> None:
    settings = AprunSettings("/bin/solver", ["a b", "c"], env_vars={"A": 1, "B": "x,y 'z'", "N": None})
    settings.set_tasks(4)
    settings.set_tasks_per_node(2)
    settings.set_hostlist("n1")
    settings.set_time(minutes=1)
    command = line(settings)
    assert command.launch == (
        "aprun", "--wdir", "/exp/m", "-e", "A=1", "-e", "B=x,y 'z'", "-e", "N=",
        "--pes=4", "--pes-per-node=2", "--node-list=n1", "--cpu-time-limit=60",
    )  # fmt: skip
    assert command.argv == ("/bin/solver", "a b", "c")
    assert settings.variables() == {"A": "1", "B": "x,y 'z'", "N": ""}


def test_a_wrapped_application_in_a_container_has_all_cpus() -> None:
    settings = AprunSettings("solver", container=Singularity("i.sif"))
    assert text(settings, ("supervise",)) == (
        "aprun --wdir /exp/m --cc none supervise singularity exec --pwd /exp/m --bind /exp/m i.sif solver"
    )


def test_being_verbose_is_turned_off_again() -> None:
    settings = AprunSettings("solver")
    settings.set_verbose_launch(verbose=True)
    settings.set_verbose_launch(verbose=False)
    assert settings.run_args == {}


def test_the_directory_is_not_the_users() -> None:
    settings = Aprun("solver", run_args={"wdir": "/elsewhere"})
    assert (settings.run_args, len(settings.told)) == ({}, 1)


@pytest.mark.parametrize("time", ["", "soon", "1:2:3:4", "-5", "1.5"])
def test_a_walltime_that_is_none_is_refused(time: str) -> None:
    with pytest.raises(ValueError, match="not a walltime: write it as HH:MM:SS"):
        AprunSettings("solver").set_walltime(time)


def test_several_programs_stand_with_a_colon_between_them() -> None:
    settings = AprunSettings("/bin/a", ["1 2", ":"], run_args={"pes": 1})
    settings.make_mpmd(AprunSettings("/bin/b", run_args={"pes": 2}, env_vars={"Z": 2}))
    command = line(settings)
    assert command.launch == ("aprun", "--wdir", "/exp/m", "--pes=1")
    assert command.argv == (
        "/bin/sh", "-c", "exec /bin/a '1 2' :", ":", "--pes=2", "-e", "Z=2", "/bin/b",
    )  # fmt: skip
    with pytest.raises(SSUnsupportedError, match="Containerized MPMD workloads are not yet supported"):
        settings.make_mpmd(AprunSettings("c", container=Singularity("i.sif")))


@pytest.mark.parametrize(
    ("run_args", "asked"),
    [
        (
            {"pes": 4, "pes-per-node": 2, "cpus-per-pe": 8},
            ResourceRequest(tasks=4, tasks_per_node=2, cpus_per_task=8),
        ),
        ({"n": 2, "L": "10,11", "E": "12"}, ResourceRequest(tasks=2, hosts=("10", "11"), excluded_hosts=("12",))),
        ({"quiet": None}, None),
    ],
)
def test_the_resources_are_what_the_options_ask_for(run_args: dict[str, Any], asked: ResourceRequest | None) -> None:
    assert AprunSettings("solver", run_args=run_args).resources() == asked
