from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from run_commands import PLACE, SETTERS, Told, check_setter, line, text
from smartsim.domain.errors import SSUnsupportedError
from smartsim.domain.resources import ResourceRequest
from smartsim.domain.settings.command import StepPlace, command_line
from smartsim.domain.settings.container import Singularity
from smartsim.domain.settings.mpi import MpirunSettings
from smartsim.domain.settings.srun import SrunSettings

OWN = "srun --output /run/m.out --error /run/m.err --open-mode=append --job-name m-1"
OPTIONS = {
    "nodes": ["--nodes=2"],
    "tasks": ["--ntasks=4"],
    "tasks_per_node": ["--ntasks-per-node=2"],
    "cpus_per_task": ["--cpus-per-task=3"],
    "hostlist": ["--nodelist=n1,n2"],
    "hostlist_from_file": ["--nodefile=hosts.txt"],
    "excluded_hosts": ["--exclude=n3"],
    "cpu_bindings": ["--cpu_bind=map_cpu:0,2"],
    "memory_per_node": ["--mem=100M"],
    "verbose_launch": ["--verbose"],
    "quiet_launch": ["--quiet"],
    "broadcast": ["--bcast"],
    "node_feature": ["-C", "gpu,ssd"],
    "walltime": ["--time=26:00:05"],
    "time": ["--time=26:00:05"],
}


class Srun(Told, SrunSettings):
    environment: Mapping[str, str] = {}

    def _inherited(self) -> Mapping[str, str]:
        return self.environment


class TestOptions:
    @pytest.mark.parametrize("setter", SETTERS)
    def test_of_the_generic_setters(self, setter: str) -> None:
        check_setter(Srun("solver"), setter, OPTIONS.get(setter))

    def test_a_value_of_zero_is_a_value(self) -> None:
        settings = SrunSettings("solver", run_args={"nice": 0, "w": 0, "exclusive": None, "X": None, "mem": ""})
        assert settings.format_run_args() == ["--nice=0", "-w", "0", "--exclusive", "-X", "--mem"]

    def test_a_truth_value_turns_a_flag_on_and_off(self) -> None:
        assert SrunSettings("solver", run_args={"exclusive": True, "overlap": False}).format_run_args() == [
            "--exclusive"
        ]

    def test_dashes_of_names_do_not_matter(self) -> None:
        assert SrunSettings("solver", run_args={"--nodes": 2, "-C": "gpu"}).run_args == {"nodes": 2, "C": "gpu"}

    @pytest.mark.parametrize("name", ["chdir", "D", "--chdir"])
    def test_the_directory_is_not_the_users(self, name: str) -> None:
        settings = Srun("solver", run_args={name: "/elsewhere", "nodes": 2})
        settings.set(name, "/elsewhere")
        assert settings.run_args == {"nodes": 2}
        assert len(settings.told) == 2

    @pytest.mark.parametrize("time", ["10", "10:30", "100:00:00", "1-12", "1-12:30", "1-12:30:00", "UNLIMITED"])
    def test_times_of_slurm_are_kept_as_they_are(self, time: str) -> None:
        settings = SrunSettings("solver")
        settings.set_walltime(time)
        assert settings.run_args == {"time": time}

    @pytest.mark.parametrize("time", ["", "soon", "1:2:3:4", "-5", "1 day, 0:00:00", "10m"])
    def test_other_times_are_refused(self, time: str) -> None:
        with pytest.raises(ValueError, match="not a walltime of Slurm: write it as HH:MM:SS"):
            SrunSettings("solver").set_walltime(time)

    def test_a_broadcast_to_a_place_and_a_switch_turned_off(self) -> None:
        settings = SrunSettings("solver")
        settings.set_broadcast("/tmp/x")
        settings.set_verbose_launch(verbose=True)
        settings.set_verbose_launch(verbose=False)
        settings.set_cpu_bindings(1)
        assert settings.format_run_args() == ["--bcast=/tmp/x", "--cpu_bind=map_cpu:1"]


class TestCommand:
    def test_as_a_whole(self) -> None:
        settings = SrunSettings("/usr/bin/echo", "hi there", env_vars={"A": 1, "N": None, "B": "x,y"})
        settings.alloc = "123"
        settings.run_args = {"nodes": 2, "ntasks": 4, "C": "P100", "exclusive": None}
        assert text(settings) == (
            f"{OWN} --jobid 123 --export ALL,A=1,N,B --nodes=2 --ntasks=4 -C P100 --exclusive /usr/bin/echo hi there"
        )
        assert settings.variables() == {"A": "1", "B": "x,y"}
        assert settings.allocation == "123"

    def test_without_variables_and_allocation(self) -> None:
        assert text(SrunSettings("/usr/bin/echo")) == f"{OWN} /usr/bin/echo"

    def test_in_a_batch_job_that_is_the_allocation(self) -> None:
        settings = SrunSettings("/usr/bin/echo")
        settings.alloc, settings.in_batch = "123", True
        assert "--jobid" not in line(settings).launch

    def test_what_wraps_it_and_its_container_come_before_the_executable(self) -> None:
        settings = SrunSettings("solver", container=Singularity("i.sif"))
        assert line(settings, ("supervise",)).argv == (
            "supervise", "singularity", "exec", "--pwd", "/exp/m", "--bind", "/exp/m", "i.sif", "solver",
        )  # fmt: skip

    def test_file_names_are_no_patterns(self) -> None:
        place = StepPlace("m-1", "m", "/exp/100%j", "/run/100%j.out", "/run/100%j.err")
        assert line(SrunSettings("solver"), place=place).launch[1:5] == (
            "--output", "/run/100%%j.out", "--error", "/run/100%%j.err",
        )  # fmt: skip

    def test_file_names_that_srun_cannot_be_told_are_those_of_its_own_process(self) -> None:
        place = StepPlace("m-1", "m", "/exp", "/run/a\\b.out", "/run/a\\b.err")
        assert line(SrunSettings("solver"), place=place).launch == ("srun", "--job-name", "m-1")

    def test_a_lone_colon_does_not_begin_another_program(self) -> None:
        assert line(SrunSettings("solver", ["a b", ":", "$c"])).argv == (
            "/bin/sh", "-c", "exec solver 'a b' : '$c'",
        )  # fmt: skip
        assert line(SrunSettings("solver", ["a:b"])).argv == ("solver", "a:b")


class TestVariables:
    @pytest.mark.parametrize("value", ["x,y", "it's", 'a "b"'])
    def test_what_export_would_take_apart_is_inherited(self, value: str) -> None:
        settings = SrunSettings("solver", env_vars={"A": value, "B": "b c"})
        assert line(settings).launch[-2:] == ("--export", "ALL,A,B=b c")
        assert settings.variables()["A"] == value
        assert settings.format_env_vars() == ["B=b c"]

    def test_names_that_export_would_take_apart_are_left_to_all(self) -> None:
        settings = SrunSettings("solver", env_vars={"A,B": "1"})
        assert line(settings).launch[-2:] == ("--export", "ALL")

    def test_as_users_of_old_asked_for_them(self) -> None:
        settings = SrunSettings("solver", env_vars={"K": 1, "K2": "2", "KEYONLY": "a,b"})
        settings.make_mpmd(SrunSettings("other", env_vars={"Z": "c,d", "Y": 1}))
        assert settings.format_comma_sep_env_vars() == ("K=1,K2=2,KEYONLY", ["KEYONLY=a,b", "Z=c,d"])

    def test_another_value_in_the_drivers_environment_is_warned_of(self) -> None:
        settings = Srun("solver", env_vars={"A": 1, "B": 2, "C": None, "D": 4})
        settings.environment = {"A": "1", "B": "3", "C": "5"}
        settings.check_env_vars()
        assert settings.told == ["Variable B is 3 in the current environment: the step gets 2"]


class TestSeveralPrograms:
    def test_stand_with_a_colon_between_them(self) -> None:
        settings = SrunSettings("/bin/a", ["1 2"], run_args={"ntasks": 1}, env_vars={"A": 1})
        settings.make_mpmd(SrunSettings("/bin/b", ["it's"], run_args={"ntasks": 2}, env_vars={"Z": 2}))
        settings.make_mpmd(SrunSettings("/bin/c"))
        command = line(settings)
        assert command.launch == (*OWN.split(), "--export", "ALL,A=1", "--ntasks=1")
        assert command.argv == (
            "/bin/a", "1 2",
            ":", "--ntasks=2", "--job-name", PLACE.name, "--export", "ALL,Z=2", "/bin/b", "it's",
            ":", "--job-name", PLACE.name, "/bin/c",
        )  # fmt: skip

    def test_each_gets_its_own_value_of_a_variable(self) -> None:
        settings = Srun("/bin/a", env_vars={"A": 1, "SAME": 1})
        other = Srun("/bin/b", env_vars={"A": 2, "SAME": 1, "L": "x,y", "DRIVERS": "mine", "N": None})
        settings.environment = other.environment = {"DRIVERS": "others"}
        settings.make_mpmd(other)
        assert line(settings).argv == (
            "/bin/a", ":", "--job-name", "m-1", "--export", "ALL,A=2,SAME=1,L,DRIVERS=mine,N",
            "env", "A=2", "L=x,y", "DRIVERS=mine", "/bin/b",
        )  # fmt: skip

    def test_those_of_the_added_come_along(self) -> None:
        inner, outer = SrunSettings("/bin/b"), SrunSettings("/bin/a")
        inner.make_mpmd(SrunSettings("/bin/c"))
        outer.make_mpmd(inner)
        assert [word for word in line(outer).argv if word.startswith("/bin")] == ["/bin/a", "/bin/b", "/bin/c"]

    def test_what_cannot_be_is_refused(self) -> None:
        settings, other = SrunSettings("a"), SrunSettings("b")
        colocated = SrunSettings("c")
        colocated.colocated_db_settings = {"port": 1}
        with pytest.raises(SSUnsupportedError, match="Colocated models cannot be run as a mpmd workload"):
            settings.make_mpmd(colocated)
        with pytest.raises(SSUnsupportedError, match="Containerized MPMD workloads are not yet supported"):
            settings.make_mpmd(SrunSettings("d", container=Singularity("i.sif")))
        with pytest.raises(SSUnsupportedError, match="Containerized MPMD workloads"):
            SrunSettings("d", container=Singularity("i.sif")).make_mpmd(other)
        with pytest.raises(SSUnsupportedError, match="its settings are MpirunSettings. Make both with the same class"):
            settings.make_mpmd(MpirunSettings("e"))
        nothing: Any = None
        with pytest.raises(TypeError, match="make_mpmd takes the settings of another program"):
            settings.make_mpmd(nothing)
        assert settings.mpmd == []


class TestHeterogeneousJobs:
    def settings(self, size: str | None) -> Srun:
        settings = Srun("solver")
        settings.environment = {} if size is None else {"SLURM_HET_SIZE": size}
        return settings

    def test_components_are_chosen_and_that_this_is_new_is_said(self) -> None:
        settings = self.settings("3")
        settings.set_het_group([0, 2])
        assert settings.format_run_args() == ["--het-group=0,2"]
        assert settings.told == ["Support for heterogeneous groups is an experimental feature"]
        assert settings.resources() is None

    @pytest.mark.parametrize(
        ("size", "groups", "message"),
        [
            (None, [0], "runs in no heterogeneous job"),
            ("2", [0, 2], "the job has 2 components, numbered from 0"),
            ("2", [], "the job has 2 components"),
            ("2", [-1], "at least 0"),
        ],
    )
    def test_those_that_are_not_there_are_refused(self, size: str | None, groups: list[int], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            self.settings(size).set_het_group(groups)

    def test_they_do_not_go_with_several_programs(self) -> None:
        settings = self.settings(None)
        settings.make_mpmd(SrunSettings("other"))
        settings.environment = {"SLURM_HET_SIZE": "2"}
        with pytest.raises(ValueError, match="MPMD workloads in heterogeneous jobs"):
            settings.set_het_group([0])
        with pytest.raises(ValueError, match="MPMD workloads in heterogeneous jobs"):
            settings.make_mpmd(SrunSettings("another"))


class TestResources:
    @pytest.mark.parametrize(
        ("run_args", "asked"),
        [
            ({"ntasks": 4, "nodes": 2}, ResourceRequest(tasks=4, nodes=2)),
            ({"n": "4", "N": "2", "c": "8"}, ResourceRequest(tasks=4, nodes=2, cpus_per_task=8)),
            ({"nodes": 2, "ntasks-per-node": 3}, ResourceRequest(nodes=2, tasks_per_node=3)),
            ({"nodelist": "n1,n2"}, ResourceRequest(nodes=2, hosts=("n1", "n2"))),
            ({"w": "n[1-3]", "n": 1}, ResourceRequest(tasks=1, hosts=("n1", "n2", "n3"))),
            ({"exclude": "n3", "ntasks": 1}, ResourceRequest(tasks=1, excluded_hosts=("n3",))),
            ({"ntasks": 1, "gpus": 2}, ResourceRequest(tasks=1, gpus_per_node=2)),
            ({"nodes": 2, "G": 3}, ResourceRequest(nodes=2, gpus_per_node=2)),
            ({"gpus-per-node": "a100:2", "nodes": 1}, ResourceRequest(nodes=1, gpus_per_node=2)),
            ({"gpus-per-task": 1, "ntasks-per-node": 2}, ResourceRequest(tasks_per_node=2, gpus_per_node=2)),
            ({"gpus-per-task": 1, "nodes": 2, "ntasks": 5}, ResourceRequest(tasks=5, nodes=2, gpus_per_node=3)),
            ({"gres": "nvme:1,gpu:a100:2", "nodes": 1}, ResourceRequest(nodes=1, gpus_per_node=2)),
            ({"gres": "gpu", "nodes": 1}, ResourceRequest(nodes=1, gpus_per_node=1)),
            ({}, None),
            ({"exclusive": None, "time": "1:00:00"}, None),
            ({"nodes": "1-4"}, None),
            ({"ntasks": 4, "gpus": 2}, None),
            ({"nodelist": "n[1-", "n": 1}, None),
        ],
    )
    def test_are_what_the_options_ask_for(self, run_args: dict[str, Any], asked: ResourceRequest | None) -> None:
        assert SrunSettings("solver", run_args=run_args).resources() == asked

    def test_of_several_programs_only_srun_knows(self) -> None:
        settings = SrunSettings("a", run_args={"ntasks": 1})
        settings.make_mpmd(SrunSettings("b", run_args={"ntasks": 1}))
        assert settings.resources() is None


@pytest.mark.parametrize(("options", "added"), [({}, True), ({"overlap": None}, False), ({"exclusive": None}, False)])
def test_members_of_a_batch_job_have_cores_of_their_own(options: dict[str, None], added: bool) -> None:
    settings = SrunSettings("/bin/true", run_args=options)
    place = StepPlace("m-1", "m", "/exp/m", "/run/m.out", "/run/m.err")
    assert "--exact" not in command_line(settings, place).launch
    settings.in_batch = True
    assert ("--exact" in command_line(settings, place).launch) is added
