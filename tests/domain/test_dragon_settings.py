from __future__ import annotations

from typing import Any

import pytest

from run_commands import SETTERS, Told, check_setter, line
from smartsim.domain.resources import ResourceRequest
from smartsim.domain.settings.container import Singularity
from smartsim.domain.settings.dragon import DragonRunSettings

OPTIONS = {"nodes": ["--nodes=2"], "tasks_per_node": ["--tasks-per-node=2"], "node_feature": ["--node-feature=gpu,ssd"]}


class Dragon(Told, DragonRunSettings):
    pass


@pytest.mark.parametrize("setter", SETTERS)
def test_the_options_of_the_generic_setters(setter: str) -> None:
    check_setter(Dragon("solver"), setter, OPTIONS.get(setter))


def test_the_command_has_no_program_but_the_options_for_the_server() -> None:
    settings = DragonRunSettings("/bin/solver", ["a b"], env_vars={"A": 1, "N": None}, container=Singularity("i.sif"))
    settings.set_nodes(2)
    settings.set_cpu_affinity([0, 1])
    settings.set_gpu_affinity([0])
    settings.set_node_feature(" gpu  ssd")
    command = line(settings, ("supervise",))
    assert settings.run_command is None
    assert command.launch == ("--nodes=2", "--cpu-affinity=0,1", "--gpu-affinity=0", "--node-feature=gpu,ssd")
    assert command.argv == (
        "supervise", "singularity", "exec", "--pwd", "/exp/m", "--bind", "/exp/m", "i.sif", "/bin/solver", "a b",
    )  # fmt: skip
    assert settings.variables() == {"A": "1", "N": ""}


@pytest.mark.parametrize(
    ("devices", "error"), [(0, TypeError), ("0", TypeError), ([0.5], TypeError), ([-1], ValueError)]
)
@pytest.mark.parametrize("setter", ["set_cpu_affinity", "set_gpu_affinity"])
def test_devices_are_a_list_of_numbers_from_0(setter: str, devices: Any, error: type[Exception]) -> None:
    settings = DragonRunSettings("solver")
    with pytest.raises(error, match="affinity|PU must be"):
        getattr(settings, setter)(devices)
    assert settings.run_args == {}


def test_the_resources_are_what_the_options_ask_for() -> None:
    settings = DragonRunSettings("solver")
    assert settings.resources() is None
    settings.set_nodes(2)
    settings.set_tasks_per_node(4)
    assert settings.resources() == ResourceRequest(nodes=2, tasks_per_node=4)
