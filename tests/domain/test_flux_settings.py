from __future__ import annotations

from typing import Any

import pytest

from run_commands import SETTERS, Told, check_setter, line, text
from smartsim.domain.resources import ResourceRequest
from smartsim.domain.settings.container import Singularity
from smartsim.domain.settings.flux import FluxRunSettings

OPTIONS = {
    "nodes": ["--nodes=2"],
    "tasks": ["--ntasks=4"],
    "tasks_per_node": ["--tasks-per-node=2"],
    "cpus_per_task": ["--cores-per-task=3"],
    "hostlist": ["--requires=host:n1,n2"],
    "excluded_hosts": ["--requires=not host:n3"],
    "verbose_launch": ["--verbose"],
    "quiet_launch": ["--quiet"],
    "node_feature": ["--requires=(gpu) and (ssd)"],
    "walltime": ["--time-limit=93605s"],
    "time": ["--time-limit=93605s"],
}


class Flux(Told, FluxRunSettings):
    pass


@pytest.mark.parametrize("setter", SETTERS)
def test_the_options_of_the_generic_setters(setter: str) -> None:
    check_setter(Flux("solver"), setter, OPTIONS.get(setter))


def test_the_command_as_a_whole() -> None:
    settings = FluxRunSettings("/bin/solver", ["a b", ":"], run_args={"n": 4}, env_vars={"A": "x,y", "B": None})
    settings.set_gpus_per_task(1)
    settings.set_queue("debug")
    command = line(settings)
    assert command.launch == (
        "flux", "run", "--job-name=m-1", "--env=A=x,y", "--env=B", "-n", "4", "--gpus-per-task=1", "--queue=debug",
    )  # fmt: skip
    assert command.argv == ("/bin/solver", "a b", ":")
    assert settings.variables() == {"A": "x,y"}


def test_what_wraps_the_application_and_its_container_come_before_it() -> None:
    settings = FluxRunSettings("solver", container=Singularity("i.sif"))
    assert text(settings, ("supervise",)) == (
        "flux run --job-name=m-1 supervise singularity exec --pwd /exp/m --bind /exp/m i.sif solver"
    )


def test_a_value_that_flux_would_look_into_is_inherited() -> None:
    settings = FluxRunSettings("solver", env_vars={"PRICE": "5$", "HOMES": "$HOME"})
    assert settings.format_env_vars() == ["--env=PRICE", "--env=HOMES"]
    assert settings.variables() == {"PRICE": "5$", "HOMES": "$HOME"}


def test_all_constraints_hold_together() -> None:
    settings = FluxRunSettings("solver", run_args={"requires": "gpu or ssd"})
    settings.set_hostlist("n[1-4]")
    settings.set_excluded_hosts(["n2", "n3"])
    assert settings.format_run_args() == ["--requires=(gpu or ssd) and (host:n[1-4]) and (not host:n2,n3)"]
    assert settings.copy().format_run_args() == settings.format_run_args()


@pytest.mark.parametrize(("given", "kept"), [("10m", "10m"), ("1.5h", "1.5h"), ("90", "90"), ("1-00:00:00", "86400s")])
def test_durations_of_flux_are_kept_as_they_are(given: str, kept: str) -> None:
    settings = FluxRunSettings("solver")
    settings.set_walltime(given)
    assert settings.run_args == {"time-limit": kept}


@pytest.mark.parametrize("time", ["", "soon", "5 m", "-5"])
def test_a_walltime_that_is_none_is_refused(time: str) -> None:
    with pytest.raises(ValueError, match="not a walltime"):
        FluxRunSettings("solver").set_walltime(time)


def test_several_programs_in_one_are_not_supported() -> None:
    settings = Flux("solver")
    settings.make_mpmd(FluxRunSettings("other"))
    assert settings.mpmd == []
    assert len(settings.told) == 1


@pytest.mark.parametrize(
    ("run_args", "asked"),
    [
        (
            {"nodes": 2, "ntasks": 4, "cores-per-task": 2},
            ResourceRequest(tasks=4, nodes=2, cpus_per_task=2),
        ),
        ({"n": 1, "g": 2}, ResourceRequest(tasks=1, gpus_per_node=2)),
        ({"N": 2, "exclusive": None}, ResourceRequest(nodes=2, whole_nodes=True)),
        ({"N": 2, "exclusive": False}, ResourceRequest(nodes=2)),
        ({"n": 4, "g": 1}, None),
        ({"n": 4, "requires": "gpu"}, None),
        ({}, None),
    ],
)
def test_the_resources_are_what_the_options_ask_for(run_args: dict[str, Any], asked: ResourceRequest | None) -> None:
    assert FluxRunSettings("solver", run_args=run_args).resources() == asked


def test_the_hosts_are_resources_too() -> None:
    settings = FluxRunSettings("solver", run_args={"n": 2})
    settings.set_hostlist("n[1-2]")
    settings.set_excluded_hosts("n3")
    assert settings.resources() == ResourceRequest(tasks=2, hosts=("n1", "n2"), excluded_hosts=("n3",))
