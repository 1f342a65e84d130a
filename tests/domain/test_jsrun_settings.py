from __future__ import annotations

from typing import Any

import pytest

from run_commands import SETTERS, Told, check_setter, line, text
from smartsim.domain.errors import SSUnsupportedError
from smartsim.domain.resources import ResourceRequest
from smartsim.domain.settings.command import StepPlace
from smartsim.domain.settings.container import Singularity
from smartsim.domain.settings.jsrun import JsrunSettings

OWN = "jsrun --chdir /exp/m --stdio_stdout /run/m.out --stdio_stderr /run/m.err"
OPTIONS = {
    "tasks": ["--np=4"],
    "tasks_per_node": ["--tasks_per_rs=2"],
    "cpus_per_task": ["--cpu_per_rs=3"],
    "memory_per_node": ["--memory_per_rs=100"],
    "binding": ["--bind=packed:2"],
}


class Jsrun(Told, JsrunSettings):
    pass


class TestOptions:
    @pytest.mark.parametrize("setter", SETTERS)
    def test_of_the_generic_setters(self, setter: str) -> None:
        check_setter(Jsrun("solver"), setter, OPTIONS.get(setter))

    def test_of_resource_sets(self) -> None:
        settings = JsrunSettings("solver")
        settings.set_num_rs(2)
        settings.set_cpus_per_rs(3)
        settings.set_gpus_per_rs(0)
        settings.set_rs_per_host(1)
        settings.set_tasks_per_rs(4)
        settings.set_memory_per_rs(512)
        assert settings.format_run_args() == [
            "--nrs=2", "--cpu_per_rs=3", "--gpu_per_rs=0", "--rs_per_host=1", "--tasks_per_rs=4", "--memory_per_rs=512",
        ]  # fmt: skip
        settings.set_num_rs("ALL_HOSTS")
        assert settings.run_args["nrs"] == "ALL_HOSTS"

    @pytest.mark.parametrize("setter", ["num_rs", "cpus_per_rs", "rs_per_host", "tasks_per_rs", "memory_per_rs"])
    @pytest.mark.parametrize(("count", "error"), [(0, ValueError), ("SOME", ValueError), (None, TypeError)])
    def test_counts_that_cannot_be_are_refused(self, setter: str, count: object, error: type[Exception]) -> None:
        settings = JsrunSettings("solver")
        with pytest.raises(error, match=setter):
            getattr(settings, f"set_{setter}")(count)
        assert settings.run_args == {}

    def test_cpus_are_enough_for_a_colocated_database(self) -> None:
        settings = JsrunSettings("solver")
        settings.colocated_db_settings = {"cpus": 4}
        settings.set_cpus_per_rs(4)
        assert settings.run_args == {"cpu_per_rs": 4}
        with pytest.raises(
            ValueError, match=r"cpus_per_rs is 3, and the colocated database alone has 4 CPUs \(db_cpus\)"
        ):
            settings.set_cpus_per_task(3)

    @pytest.mark.parametrize("name", ["chdir", "h"])
    def test_the_directory_is_not_the_users(self, name: str) -> None:
        settings = Jsrun("solver", run_args={name: "/elsewhere"})
        assert (settings.run_args, len(settings.told)) == ({}, 1)


class TestCommand:
    def test_as_a_whole(self) -> None:
        settings = JsrunSettings("exe", "args", env_vars={"A": 1, "B": None})
        settings.set_num_rs(2)
        settings.set_cpus_per_rs(3)
        settings.set_gpus_per_rs(1)
        settings.set_rs_per_host(1)
        settings.set_tasks(4)
        settings.set_binding("packed:2")
        settings.set_individual_output()
        assert text(settings, ("supervise",)) == (
            f"{OWN} -E A=1 -E B --nrs=2 --cpu_per_rs=3 --gpu_per_rs=1 --rs_per_host=1 --np=4 --bind=packed:2 "
            "--stdio_mode=individual --bind none supervise exe args"
        )
        assert settings.variables() == {"A": "1"}

    def test_every_task_has_files_of_its_own(self) -> None:
        settings = JsrunSettings("exe")
        settings.set_individual_output("_%t")
        place = StepPlace("m.x-1", "m.x", "/exp/m", "/run/m.x.out", "/run/m.x.err")
        assert line(settings, place=place).launch[3:7] == (
            "--stdio_stdout", "/run/m.x_%t.out", "--stdio_stderr", "/run/m.x_%t.err",
        )  # fmt: skip

    def test_the_container_stands_before_the_executable(self) -> None:
        settings = JsrunSettings("exe", [":"], container=Singularity("i.sif"))
        assert text(settings) == f"{OWN} singularity exec --pwd /exp/m --bind /exp/m i.sif exe :"


class TestSeveralPrograms:
    def erf(self, settings: JsrunSettings) -> str:
        command = line(settings)
        assert command.argv == ("--erf_input", "/exp/m/m.mpmd")
        ((path, content),) = command.files.items()
        assert path == "/exp/m/m.mpmd"
        return content.decode()

    def test_are_described_in_a_file_the_first_one_too(self) -> None:
        settings = JsrunSettings("exe", ["two words"], env_vars={"A": 1})
        other = JsrunSettings("exe2", ["$x", "it's"], container=Singularity("i.sif"))
        other.set_erf_sets({"host": "1", "cpu": "{0:4},{4:4}", "gpu": "{0}", "memory": "512", "rank_count": "2"})
        third = JsrunSettings("exe3")
        third.set_erf_sets({"rank": "7", "host": "2", "cpu": "*"})
        settings.make_mpmd(other)
        settings.make_mpmd(third)
        assert self.erf(settings) == (
            "launch_distribution : packed\n"
            "\n"
            "app 0 : exe 'two words'\n"
            "app 1 : singularity exec --pwd /exp/m --bind /exp/m i.sif exe2 '$x' 'it'\"'\"'s'\n"
            "app 2 : exe3\n"
            "\n"
            "1: { host: *; cpu: * }: app 0\n"
            "2: { host: 1; cpu: {0:4},{4:4}; gpu: {0}; memory: 512 }: app 1\n"
            "rank: 7: { host: 2; cpu: * }: app 2\n"
        )
        assert line(settings).launch == (*OWN.split(), "-E", "A=1")

    def test_what_the_file_says_is_not_said_again(self) -> None:
        run_args: dict[str, Any] = {"nrs": 2, "np": 4, "g": 1, "d": "cyclic", "smpiargs": "-gpu"}
        settings = JsrunSettings("exe", run_args=run_args)
        settings.make_mpmd(JsrunSettings("exe2"))
        assert line(settings).launch == (*OWN.split(), "--smpiargs=-gpu")
        assert self.erf(settings).splitlines()[0] == "launch_distribution : cyclic"

    def test_the_preamble_comes_first(self) -> None:
        settings = JsrunSettings("exe")
        settings.set_mpmd_preamble(["overlapping_rs : allow", "launch_distribution : spread"])
        settings.make_mpmd(JsrunSettings("exe2"))
        assert self.erf(settings).splitlines()[:3] == ["launch_distribution : spread", "overlapping_rs : allow", ""]

    def test_each_gets_its_own_value_of_a_variable(self) -> None:
        settings = JsrunSettings("exe", env_vars={"A": 1, "SAME": 1})
        settings.make_mpmd(JsrunSettings("exe2", env_vars={"A": "x y", "SAME": 1}))
        assert "app 1 : env 'A=x y' exe2\n" in self.erf(settings)

    def test_those_of_the_added_come_along(self) -> None:
        inner, outer = JsrunSettings("exe2"), JsrunSettings("exe1")
        inner.make_mpmd(JsrunSettings("exe3"))
        outer.make_mpmd(inner)
        assert "app 1 : exe2\napp 2 : exe3\n" in self.erf(outer)

    def test_a_colocated_database_does_not_go_with_them(self) -> None:
        settings = JsrunSettings("exe")
        settings.colocated_db_settings = {"port": 1}
        with pytest.raises(SSUnsupportedError, match="Colocated models cannot be run as a mpmd workload"):
            settings.make_mpmd(JsrunSettings("exe2"))

    @pytest.mark.parametrize(
        ("sets", "error"), [({"hosts": "1"}, ValueError), ({"host": 1}, TypeError), (["host"], TypeError)]
    )
    def test_resources_that_cannot_be_are_refused(self, sets: Any, error: type[Exception]) -> None:
        with pytest.raises(error, match="erf_sets"):
            JsrunSettings("exe").set_erf_sets(sets)

    def test_a_preamble_is_text(self) -> None:
        lines: Any = [1]
        with pytest.raises(TypeError, match="preamble_lines"):
            JsrunSettings("exe").set_mpmd_preamble(lines)


@pytest.mark.parametrize(
    ("run_args", "asked"),
    [
        ({"np": 4}, ResourceRequest(tasks=4)),
        ({"nrs": 4}, ResourceRequest(tasks=4)),
        ({"n": 4, "a": 2, "c": 8}, ResourceRequest(tasks=8, cpus_per_task=4)),
        (
            {"nrs": 4, "rs_per_host": 2, "tasks_per_rs": 2, "cpu_per_rs": 7, "gpu_per_rs": 1},
            ResourceRequest(tasks=8, nodes=2, tasks_per_node=4, cpus_per_task=4, gpus_per_node=2),
        ),
        ({"nrs": 1, "gpu_per_rs": 2}, ResourceRequest(tasks=1, gpus_per_node=2)),
        ({"nrs": 4, "gpu_per_rs": 2}, None),
        ({"nrs": "ALL_HOSTS"}, None),
        ({"bind": "rs"}, None),
    ],
)
def test_the_resources_are_what_the_options_ask_for(run_args: dict[str, Any], asked: ResourceRequest | None) -> None:
    assert JsrunSettings("solver", run_args=run_args).resources() == asked


def test_of_several_programs_only_jsrun_knows_the_resources() -> None:
    settings = JsrunSettings("exe", run_args={"np": 4})
    settings.make_mpmd(JsrunSettings("exe2"))
    assert settings.resources() is None
