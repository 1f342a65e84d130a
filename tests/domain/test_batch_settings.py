from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from smartsim.domain.settings.batch import BatchSettings


class ExampleScheduler(BatchSettings):
    """A workload manager's settings as a later one will be."""

    options: ClassVar[Mapping[str, str]] = {
        "nodes": "nodes",
        "hostlist": "nodelist",
        "queue": "partition",
        "walltime": "time",
        "account": "account",
    }

    def format_batch_args(self) -> list[str]:
        return [f"--{name}={value}" for name, value in self.batch_args.items()]


class Told(BatchSettings):
    told: str = ""

    def _warn(self, message: str) -> None:
        self.told = message


def test_options_are_the_settings_own() -> None:
    given = {"exclusive": None, "nice": 3}
    settings = BatchSettings("sbatch", given)
    settings.batch_args["qos"] = "high"
    assert given == {"exclusive": None, "nice": 3}
    settings.batch_args = given
    assert settings.batch_args == given


def test_the_preamble_is_kept_line_by_line() -> None:
    settings = BatchSettings("sbatch")
    settings.add_preamble("  module load x")
    settings.add_preamble(["export A=1", ""])
    assert list(settings.preamble) == ["  module load x", "export A=1", ""]
    assert list(settings.preamble) == list(settings.preamble)


@pytest.mark.parametrize("lines", [None, 3, [3], ("a",)])
def test_another_preamble_is_refused(lines: Any) -> None:
    with pytest.raises(TypeError, match="preamble"):
        BatchSettings("sbatch").add_preamble(lines)


def test_generic_settings_become_options() -> None:
    settings = ExampleScheduler("sbatch", {"nice": 1}, nodes=2, queue="debug", time="01:00:00", account="proj")
    settings.set_hostlist(["n1", "n2"])
    assert settings.format_batch_args() == [
        "--nice=1",
        "--nodes=2",
        "--partition=debug",
        "--time=01:00:00",
        "--account=proj",
        "--nodelist=n1,n2",
    ]


def test_empty_settings_are_left_out() -> None:
    assert ExampleScheduler("sbatch", nodes=None, queue="", time="", account=None).batch_args == {}


@pytest.mark.parametrize(
    ("setter", "value"),
    [("nodes", 2), ("hostlist", "n1"), ("queue", "debug"), ("walltime", "1:00:00"), ("account", "proj")],
)
def test_the_base_class_is_for_no_workload_manager(setter: str, value: object) -> None:
    with pytest.raises(NotImplementedError, match=f"no option for {setter}"):
        getattr(BatchSettings("sbatch"), f"set_{setter}")(value)


def test_the_base_class_writes_no_script() -> None:
    with pytest.raises(NotImplementedError, match="for no workload manager"):
        BatchSettings("sbatch").format_batch_args()


def test_an_unknown_argument_is_told() -> None:
    assert "cpus_per_task" in Told("sbatch", cpus_per_task=4).told


@pytest.mark.parametrize("command", [None, 3, ["sbatch"]])
def test_the_command_is_a_string(command: Any) -> None:
    with pytest.raises(TypeError, match="batch_cmd must be a str"):
        BatchSettings(command)


@pytest.mark.parametrize("nodes", [-1, 1.5])
def test_nodes_are_counted(nodes: Any) -> None:
    with pytest.raises(ValueError, match="num_nodes"):
        ExampleScheduler("sbatch", nodes=nodes)


def test_a_copy_is_independent() -> None:
    original = ExampleScheduler("sbatch", {"nice": 1})
    original.add_preamble("a")
    twin = original.copy()
    twin.set_nodes(3)
    twin.add_preamble("b")
    twin.set_batch_command("other")
    assert (original.batch_cmd, original.batch_args, original.preamble) == ("sbatch", {"nice": 1}, ("a",))


def test_as_text_it_tells_the_command_and_the_options() -> None:
    assert str(BatchSettings("sbatch", {"nodes": 2})) == "Batch Command: sbatch\nBatch arguments:\n\tnodes = 2"
    assert str(BatchSettings("sbatch")) == "Batch Command: sbatch"
