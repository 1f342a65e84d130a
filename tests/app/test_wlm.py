from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from smartsim import wlm
from smartsim.adapters.process.scripted import ScriptedProcessRunner
from smartsim.error import (
    AllocationError,
    LauncherError,
    ShellError,
    SmartSimError,
    SSReservedKeywordError,
    SSUnsupportedError,
)
from smartsim.ports.process_runner import Completed
from smartsim.wlm import pbs, slurm

SLURM_JOB = {
    "SLURM_JOB_ID": "33",
    "SLURM_JOB_NODELIST": "node[1-3],big",
    "SLURM_JOB_PARTITION": "debug",
    "SLURM_NTASKS": "7",
    "SLURM_TASKS_PER_NODE": "2(x3),1",
}
PBS_JOB = {"PBS_JOBID": "32.pbsserver", "PBS_QUEUE": "workq"}
PBS_SAID = json.dumps({"Jobs": {"32.pbsserver": {"exec_vnode": "(n1:ncpus=2)", "resources_used": {"ncpus": 2}}}})
PBS_MACHINE = ScriptedProcessRunner(
    {"qstat": "qstat"}, {("qstat", "-f", "-F", "json", "32.pbsserver"): Completed(0, PBS_SAID, "")}
)
NOTHING = ScriptedProcessRunner({})


class TestCurrentJob:
    def test_the_job_that_is_detected_tells(self) -> None:
        assert wlm.get_hosts(environment=SLURM_JOB, processes=NOTHING) == ["big", "node1", "node2", "node3"]
        assert wlm.get_queue(environment=SLURM_JOB, processes=NOTHING) == "debug"
        assert wlm.get_tasks(environment=SLURM_JOB, processes=NOTHING) == 7
        assert wlm.get_tasks_per_node(environment=SLURM_JOB, processes=NOTHING) == {
            "node1": 2,
            "node2": 2,
            "node3": 2,
            "big": 1,
        }

    @pytest.mark.parametrize("launcher", ["pbs", "PALS"])
    def test_the_job_of_a_launcher_tells(self, launcher: str) -> None:
        both = {**SLURM_JOB, **PBS_JOB}
        assert wlm.get_queue(launcher, environment=both, processes=PBS_MACHINE) == "workq"
        assert wlm.get_tasks_per_node(launcher, environment=both, processes=PBS_MACHINE) == {"n1": 2}

    @pytest.mark.parametrize(
        ("ask", "what"),
        [
            (wlm.get_hosts, "hosts"),
            (wlm.get_queue, "queue"),
            (wlm.get_tasks, "tasks"),
            (wlm.get_tasks_per_node, "tasks per node"),
        ],
    )
    def test_a_launcher_without_jobs_is_refused(self, ask: Callable[..., Any], what: str) -> None:
        with pytest.raises(SSUnsupportedError, match=f"SmartSim cannot get {what} for launcher `local`"):
            ask("local", processes=NOTHING)
        with pytest.raises(SSUnsupportedError, match=f"SmartSim cannot get {what} for launcher `local`"):
            ask(environment={}, processes=NOTHING)

    def test_the_environment_is_that_of_this_process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in {**SLURM_JOB, **PBS_JOB}.items():
            monkeypatch.setenv(name, value)
        assert wlm.get_queue("slurm") == slurm.get_queue() == "debug"
        assert pbs.get_queue() == "workq"

    def test_the_modules_of_schedulers_tell_the_same(self) -> None:
        assert slurm.get_hosts(environment=SLURM_JOB) == wlm.get_hosts("slurm", environment=SLURM_JOB)
        assert slurm.get_tasks(environment=SLURM_JOB) == 7
        assert slurm.get_tasks_per_node(environment=SLURM_JOB)["big"] == 1
        assert pbs.get_tasks(environment=PBS_JOB, processes=PBS_MACHINE) == 2
        assert pbs.get_tasks_per_node(environment=PBS_JOB, processes=PBS_MACHINE) == {"n1": 2}

    @pytest.mark.parametrize("ask", [slurm.get_hosts, slurm.get_tasks, pbs.get_hosts, pbs.get_queue, pbs.get_tasks])
    def test_outside_of_jobs_it_is_said_so(self, ask: Callable[..., Any]) -> None:
        with pytest.raises(SmartSimError, match="is not set: this process does not run in a job"):
            ask(environment={})


class Slurm:
    """Programs of Slurm that do as they are told, and remember what they were asked."""

    def __init__(self, answer: Callable[[Sequence[str]], Completed]) -> None:
        self.asked: list[list[str]] = []
        self._answer = answer

    def find(self, program: str) -> str | None:
        return f"/usr/bin/{program}"

    def run(self, argv: Sequence[str], timeout: float) -> Completed:
        assert timeout > 0
        self.asked.append(list(argv))
        return self._answer(argv)


def granting(_argv: Sequence[str]) -> Completed:
    return Completed(0, "", "salloc: Pending job allocation 12\nsalloc: Granted job allocation 12\n")


class TestAllocation:
    def test_the_whole_command(self) -> None:
        programs = Slurm(granting)
        options = {"partition": "debug", "exclusive": None, "mem": 0, "C": "haswell", "comment": "mine"}
        assert slurm.get_allocation(2, "36:00:00", "acc", options, processes=programs) == "12"
        [words] = programs.asked
        assert words[:-1] == [
            *["/usr/bin/salloc", "--no-shell", "-N", "2", "-J", "SmartSim", "-t", "36:00:00", "-A", "acc"],
            *["--partition=debug", "--exclusive", "--mem=0", "-C", "haswell"],
        ]
        assert words[-1].startswith("--comment=mine smartsim-")

    def test_nothing_is_asked_for_that_was_not_said(self) -> None:
        programs = Slurm(granting)
        slurm.get_allocation(processes=programs)
        assert programs.asked[0][1:-1] == ["--no-shell", "-N", "1", "-J", "SmartSim"]

    @pytest.mark.parametrize("option", ["t", "time", "N", "nodes", "A", "account", "--time"])
    def test_arguments_are_no_options(self, option: str) -> None:
        with pytest.raises(SSReservedKeywordError, match=f"options\\['{option}'\\] cannot be given: use the argument"):
            slurm.get_allocation(options={option: "1"}, processes=NOTHING)

    @pytest.mark.parametrize("time", ["5:00", "soon", "10", "1:2", "01:00:60", 10])
    def test_the_time_has_a_form(self, time: Any) -> None:
        with pytest.raises(ValueError, match="Input time must be formatted as `HH:MM:SS` with valid Integers"):
            slurm.get_allocation(time=time, processes=NOTHING)

    def test_nodes_are_counted(self) -> None:
        with pytest.raises(ValueError, match="nodes must be a whole number of at least 1"):
            slurm.get_allocation(nodes=0, processes=NOTHING)

    def test_without_slurm_it_is_said_so(self) -> None:
        with pytest.raises(LauncherError, match=r"without access to slurm\(salloc\).*: load the module"):
            slurm.get_allocation(processes=NOTHING)

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            (
                Completed(
                    1,
                    "",
                    "salloc: error: invalid partition specified: nosuch\n"
                    "salloc: error: Job submit/allocate failed: Invalid partition name specified\n",
                ),
                "invalid partition specified: nosuch; Job submit/allocate failed: Invalid partition name specified",
            ),
            (
                Completed(1, "", "salloc: Pending job allocation 3\nsalloc: error: Job has been cancelled\n"),
                "Job has been cancelled",
            ),
            (Completed(1, "no such thing\n", ""), "no such thing"),
            (Completed(-9, "", ""), "salloc ended with exit code -9 and said nothing"),
        ],
    )
    def test_a_refusal_is_told_in_slurms_words(self, answer: Completed, said: str) -> None:
        with pytest.raises(AllocationError, match=f"Slurm grants no allocation: {said}$"):
            slurm.get_allocation(processes=Slurm(lambda _argv: answer))

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), ShellError("salloc did not end", ["salloc"])])
    def test_a_request_that_is_given_up_leaves_the_queue(self, error: BaseException) -> None:
        marks: list[str] = []

        def interrupted(argv: Sequence[str]) -> Completed:
            if argv[0].endswith("salloc"):
                marks.append(argv[-1].removeprefix("--comment="))
                raise error
            return Completed(0, f"7 somebody's\n8 (null)\n12 {marks[0]}\n13 \n", "")

        programs = Slurm(interrupted)
        with pytest.raises(type(error)):
            slurm.get_allocation(processes=programs)
        assert [words[0] for words in programs.asked] == ["/usr/bin/salloc", "/usr/bin/squeue", "/usr/bin/scancel"]
        assert programs.asked[-1][1:] == ["12"]

    def test_a_request_that_never_reached_the_queue_is_not_looked_for_twice(self) -> None:
        def interrupted(argv: Sequence[str]) -> Completed:
            if argv[0].endswith("salloc"):
                raise KeyboardInterrupt
            return Completed(1, "", "squeue: error: slurm_load_jobs error: Unable to contact slurm controller\n")

        programs = Slurm(interrupted)
        with pytest.raises(KeyboardInterrupt):
            slurm.get_allocation(processes=programs)
        assert len(programs.asked) == 2

    def test_it_is_given_back(self) -> None:
        programs = Slurm(lambda _argv: Completed(0, "", "scancel: Terminating job 12\n"))
        slurm.release_allocation("12", processes=programs)
        assert programs.asked == [["/usr/bin/scancel", "-v", "12"]]

    def test_one_that_has_ended_is_fine(self) -> None:
        ended = "scancel: error: Kill job error on job id 12: Job/step already completing or completed\n"
        slurm.release_allocation("12", processes=Slurm(lambda _argv: Completed(0, "", ended)))

    @pytest.mark.parametrize(
        "answer",
        [
            Completed(0, "", "scancel: error: Kill job error on job id 12: Invalid job id specified\n"),
            Completed(1, "", "scancel: error: Invalid job id 12\n"),
        ],
    )
    def test_one_that_cannot_be_given_back_is_told(self, answer: Completed) -> None:
        with pytest.raises(AllocationError, match=r"Unable to revoke your allocation for jobid 12: .*nvalid job id"):
            slurm.release_allocation("12", processes=Slurm(lambda _argv: answer))

    def test_without_scancel_it_is_said_so(self) -> None:
        with pytest.raises(LauncherError, match="There is no scancel"):
            slurm.release_allocation("12", processes=NOTHING)


def partitions(nodes: str = "debug node1 4\ndebug node2 8\nlong node1 4\n", default: str = "debug*\nlong\n") -> Any:
    return ScriptedProcessRunner(
        {"sinfo": "sinfo"},
        {
            ("sinfo", "--noheader", "--format", "%R %n %c"): Completed(0, nodes, ""),
            ("sinfo", "--noheader", "--format", "%P"): Completed(0, default, ""),
        },
    )


class TestPartitions:
    @pytest.mark.parametrize(
        ("nodes", "ppn", "partition", "enough"),
        [
            (1, 1, None, True),
            (2, 4, None, True),
            (2, 8, None, False),
            (1, 8, "debug", True),
            (3, 1, "debug", False),
            (1, 8, "long", False),
        ],
    )
    def test_nodes_with_enough_cpus_are_counted(
        self, nodes: int, ppn: int, partition: str | None, enough: bool
    ) -> None:
        assert slurm.validate(nodes, ppn, partition, processes=partitions()) is enough

    def test_an_unknown_partition_is_told_with_those_there_are(self) -> None:
        with pytest.raises(
            LauncherError, match="Partition nosuch is not found on this system: choose among debug, long"
        ):
            slurm.validate(partition="nosuch", processes=partitions())

    def test_the_default_partition_has_a_star(self) -> None:
        assert slurm.get_default_partition(processes=partitions()) == "debug"

    def test_there_may_be_none(self) -> None:
        with pytest.raises(LauncherError, match="Could not find default partition"):
            slurm.get_default_partition(processes=partitions(default="debug\n"))
        with pytest.raises(LauncherError, match="Could not find default partition"):
            slurm.validate(processes=partitions(default=""))

    def test_an_answer_that_cannot_be_read_is_told(self) -> None:
        with pytest.raises(LauncherError, match="sinfo says 'debug node1', which is no partition"):
            slurm.validate(processes=partitions(nodes="debug node1\n"))

    def test_without_slurm_it_is_said_so(self) -> None:
        with pytest.raises(LauncherError, match="There is no sinfo in the search path"):
            slurm.validate(processes=NOTHING)
