"""What jobs of the real schedulers say of themselves, and allocations of the real Slurm."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from clusters.lookalikes.cluster import Queue
from clusters.lookalikes.site import lookalike
from schedulers import GridEngine, Slurm
from smartsim import wlm
from smartsim.adapters.process.subprocess import SubprocessRunner
from smartsim.domain.hostlists import expand_hosts
from smartsim.error import AllocationError, ShellError
from smartsim.ports.process_runner import Completed

TELL = """
import os

from smartsim import wlm
from smartsim.adapters.process.subprocess import SubprocessRunner
from smartsim.adapters.wlm.allocations.current import allocation
nodes = [(node.name, node.cpus, node.gpus) for node in allocation(os.environ, SubprocessRunner())]
print("told", (nodes, wlm.get_hosts(), wlm.get_queue(), wlm.get_tasks(), wlm.get_tasks_per_node()))
"""


def told(output: str) -> tuple[list[tuple[str, tuple[int, ...], tuple[int, ...]]], list[str], str, int, dict[str, int]]:
    [line] = [line for line in output.splitlines() if line.startswith("told ")]
    answer = ast.literal_eval(line.removeprefix("told "))
    assert isinstance(answer, tuple)
    return answer


class TestSlurmJobs:
    def test_an_allocation(self, slurm: Slurm) -> None:
        hosts = sorted(slurm.nodes[1:3])
        options = ["--nodes=2", "--ntasks=3", "--gpus-per-node=1", f"--nodelist={','.join(hosts)}"]
        nodes, names, queue, tasks, per_node = told(slurm.ask("salloc", *options, sys.executable, "-c", TELL))
        assert (names, queue, tasks) == (hosts, "debug", 3)
        assert {name: len(cpus) for name, cpus, _ in nodes} == per_node
        assert sorted(per_node.values()) == [1, 2]
        assert [len(gpus) for _, _, gpus in nodes] == [1, 1]

    def test_two_allocations_on_a_node_have_other_cpus_and_gpus(self, slurm: Slurm) -> None:
        options = ["--ntasks=2", "--gpus=1", f"--nodelist={slurm.nodes[0]}", sys.executable, "-c"]
        again = f"{TELL}\nimport subprocess\nsubprocess.run({['salloc', *options, TELL]!r}, check=True)"
        output = slurm.ask("salloc", *options, again)
        shares = [told(line)[0] for line in output.splitlines() if line.startswith("told ")]
        [(_, cpus, gpus)], [(_, other_cpus, other_gpus)] = shares
        assert len({*cpus, *other_cpus}) == 4
        assert len({*gpus, *other_gpus}) == 2

    def test_a_heterogeneous_job(self, slurm: Slurm) -> None:
        command = ["salloc", "--nodes=1", "--ntasks=1", ":", "--nodes=2", "--ntasks=3", sys.executable, "-c", TELL]
        nodes, names, _, tasks, per_node = told(slurm.ask(*command))
        assert sorted(name for name, _, _ in nodes) == names
        assert (len(names), tasks, sum(per_node.values())) == (3, 4, 4)

    def test_a_step_has_its_own_tasks(self, slurm: Slurm) -> None:
        command = ["salloc", "--nodes=2", "--ntasks=4", "srun", "--nodes=1", "--ntasks=1", sys.executable, "-c", TELL]
        nodes, names, _, tasks, per_node = told(slurm.ask(*command))
        assert len(nodes) == len(names) == 2
        assert (tasks, list(per_node.values())) == (1, [1])

    def test_elements_of_an_array_have_nodes_of_their_own(self, slurm: Slurm, tmp_path: Path) -> None:
        (tmp_path / "tell.py").write_text(TELL)
        wrap = f"--wrap={sys.executable} {tmp_path}/tell.py"
        slurm.ask("sbatch", "--wait", "--array=1-3", "--ntasks=1", f"--output={tmp_path}/%a.out", wrap)
        for index in (1, 2, 3):
            nodes, names, _, tasks, _ = told((tmp_path / f"{index}.out").read_text())
            assert (len(nodes), len(nodes[0][1]), len(names), tasks) == (1, 1, 1, 1)

    def test_lists_of_hosts_are_what_slurm_makes_of_them(self, slurm: Slurm) -> None:
        for text in ("n[1-3,7],login", "n[008-011]", "b,a", "x[1-2],x[4],y"):
            assert expand_hosts(text) == slurm.ask("scontrol", "show", "hostnames", text).split()


class TestGridEngineJobs:
    def ran(self, sge: GridEngine, directory: Path, *options: str) -> str:
        script = directory / "tell.sh"
        script.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{TELL}'\n")
        output = directory / "out"
        sge.ask("qsub", "-V", "-sync", "y", "-j", "y", "-o", str(output), *options, str(script))
        return output.read_text()

    def test_a_parallel_environment(self, sge: GridEngine, tmp_path: Path) -> None:
        nodes, names, queue, tasks, per_node = told(self.ran(sge, tmp_path, "-pe", "mpi", "6"))
        assert names == sorted(sge.nodes)
        assert (queue, tasks, sum(per_node.values())) == ("all.q", 6, 6)
        assert {name: len(cpus) for name, cpus, _ in nodes} == per_node

    def test_a_job_without_one(self, sge: GridEngine, tmp_path: Path) -> None:
        nodes, names, _, tasks, per_node = told(self.ran(sge, tmp_path))
        [name] = names
        assert name in sge.nodes
        assert (tasks, per_node, nodes) == (1, {name: 1}, [(name, (0,), ())])


class TestLookAlikes:
    def test_pbs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        script = tmp_path / "tell.sh"
        script.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{TELL}'\n")
        nodes = {"pbsnode1": 2, "pbsnode2": 4}
        with lookalike("pbs", tmp_path / "cluster", nodes) as site:
            monkeypatch.setenv("PATH", f"{site.bin}:{os.environ['PATH']}")
            options = ["-V", "-j", "oe", "-o", str(tmp_path / "out"), "-l", "select=2:ncpus=2"]
            assert site.run("qsub", *options, str(script)).returncode == 0
            site.wait_for(lambda jobs: all(job.is_over for job in jobs))
        nodes_of_job, names, queue, tasks, per_node = told((tmp_path / "out").read_text())
        assert (names, queue, tasks) == (["pbsnode1", "pbsnode2"], "workq", 4)
        assert per_node == {"pbsnode1": 2, "pbsnode2": 2}
        assert nodes_of_job == [("pbsnode1", (0, 1), ()), ("pbsnode2", (0, 1), ())]

    def test_cobalt(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        script = tmp_path / "tell.sh"
        with lookalike(
            "cobalt", tmp_path / "cluster", {"n1": 1, "n2": 1, "n3": 1}, queues={"default": Queue()}
        ) as site:
            # Cobalt hands no environment on, and the shell is a login shell.
            variables = f"PATH={site.bin}:$PATH PYTHONPATH={os.environ.get('PYTHONPATH', '')}"
            script.write_text(f"#!/bin/sh\nexport {variables}\nexec {sys.executable} -c '{TELL}'\n")
            script.chmod(0o755)
            assert site.run("qsub", "-n", "2", "-t", "5", "-o", str(tmp_path / "out"), str(script)).returncode == 0
            site.wait_for(lambda jobs: all(job.is_over for job in jobs))
        nodes, names, queue, tasks, per_node = told((tmp_path / "out").read_text())
        assert [name for name, _, _ in nodes] == names == ["n1", "n2"]
        assert (queue, tasks, per_node) == ("default", 2, {"n1": 1, "n2": 1})

    @pytest.mark.parametrize("front", ["lsf", "coral"])
    def test_lsf(self, front: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        script = tmp_path / "tell.sh"
        script.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{TELL}'\n")
        script.chmod(0o755)
        wanted = ["-n", "6"] if front == "lsf" else ["-P", "P1", "-nnodes", "2"]
        ranks = ("jsrun",) if front == "coral" else ()
        with lookalike(
            front, tmp_path / "cluster", {"n1": 4, "n2": 4}, ranks=ranks, queues={"normal": Queue()}
        ) as site:
            monkeypatch.setenv("PATH", f"{site.bin}:{os.environ['PATH']}")
            assert site.run("bsub", *wanted, "-N", "-o", "out", str(script)).returncode == 0
            site.wait_for(lambda jobs: all(job.is_over for job in jobs))
            assert wlm.detect_launcher(environment={}) == "lsf"
            with site.away():
                assert wlm.detect_launcher(environment={}) != "lsf"
        nodes, names, queue, tasks, per_node = told((tmp_path / "out").read_text())
        assert (names, queue) == (["n1", "n2"], "normal")
        assert per_node == {"n1": 4, "n2": 2 if front == "lsf" else 4}
        assert tasks == sum(per_node.values())
        assert {name: len(cpus) for name, cpus, _ in nodes} == per_node

    def test_flux(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        script = tmp_path / "tell.sh"
        script.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{TELL}'\n")
        with lookalike("flux", tmp_path / "cluster", {"n1": 4, "n2": 2}, queues={"batch": Queue()}) as site:
            monkeypatch.setenv("PATH", f"{site.bin}:{os.environ['PATH']}")
            assert site.run("flux", "batch", "-N", "2", "--output=out", str(script)).returncode == 0
            site.wait_for(lambda jobs: all(job.is_over for job in jobs))
            assert wlm.detect_launcher(environment={}) == "flux"
            with site.away():
                assert wlm.detect_launcher(environment={}) != "flux"
        nodes, names, queue, tasks, per_node = told((tmp_path / "out").read_text())
        assert (names, queue, tasks, per_node) == (["n1", "n2"], "batch", 6, {"n1": 4, "n2": 2})
        assert nodes == [("n1", (0, 1, 2, 3), ()), ("n2", (0, 1), ())]


class TestDetection:
    def test_slurm(self, slurm: Slurm) -> None:
        assert slurm.ask("scontrol", "ping")
        assert wlm.detect_launcher() == "slurm"
        with slurm.controller_stopped():
            assert wlm.detect_launcher() == "local"

    def test_grid_engine(self, sge: GridEngine) -> None:
        assert sge.ask("qconf", "-sh")
        assert wlm.detect_launcher() == "sge"


class Impatient(SubprocessRunner):
    """Gives up salloc after a second."""

    def run(self, argv: Sequence[str], timeout: float) -> Completed:
        return super().run(argv, min(timeout, 1.0))


class TestAllocations:
    def test_one_is_granted_and_given_back(self, slurm: Slurm) -> None:
        allocation = wlm.slurm.get_allocation(2, "00:05:00", "testacct", {"ntasks": 2, "comment": "a 'b'"})
        try:
            said = slurm.ask("scontrol", "show", "job", allocation)
            step = slurm.ask("srun", f"--jobid={allocation}", "--nodes=2", "hostname")
        finally:
            wlm.slurm.release_allocation(allocation)
        assert "JobName=SmartSim" in said
        assert "Account=testacct" in said
        assert "TimeLimit=00:05:00" in said
        assert "Comment=a 'b' smartsim-" in said
        assert len(set(step.split())) == 2
        assert slurm.accounting(allocation, "State").startswith("CANCELLED")
        wlm.slurm.release_allocation(allocation)

    @pytest.mark.parametrize(
        ("nodes", "options", "said"),
        [
            (99, {}, "More processors requested than permitted"),
            (1, {"partition": "nosuch"}, "invalid partition specified: nosuch"),
            (1, {"constraint": "nosuch"}, "Invalid feature specification"),
            (1, {"no-such-option": None}, "unrecognized option '--no-such-option'"),
        ],
    )
    def test_a_refusal_is_told_in_slurms_words(
        self, slurm: Slurm, nodes: int, options: dict[str, str | None], said: str
    ) -> None:
        assert slurm.jobs() == set()
        with pytest.raises(AllocationError, match=said):
            wlm.slurm.get_allocation(nodes, options=options)

    @pytest.mark.parametrize(("allocation", "said"), [("99999", "Invalid job id"), ("abc", "Invalid job id abc")])
    def test_one_that_there_is_not_cannot_be_given_back(self, slurm: Slurm, allocation: str, said: str) -> None:
        assert allocation not in slurm.jobs()
        with pytest.raises(AllocationError, match=f"Unable to revoke your allocation for jobid {allocation}.*{said}"):
            wlm.slurm.release_allocation(allocation)

    def test_a_request_that_is_given_up_leaves_the_queue(self, slurm: Slurm) -> None:
        everything = wlm.slurm.get_allocation(4, options={"exclusive": None})
        try:
            with pytest.raises(ShellError, match="salloc did not end within 1 s"):
                wlm.slurm.get_allocation(1, processes=Impatient())
            assert slurm.jobs() == {everything}
        finally:
            wlm.slurm.release_allocation(everything)

    def test_an_interrupt_withdraws_the_request(self, slurm: Slurm) -> None:
        everything = wlm.slurm.get_allocation(4, options={"exclusive": None})
        try:
            program = "from smartsim.wlm import slurm; print('asks', flush=True); slurm.get_allocation()"
            command = [sys.executable, "-c", program]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as driver:
                waiting = slurm.ask("sh", "-c", "until squeue -h -t PD -o %i | grep .; do sleep 0.1; done")
                assert waiting.strip() in slurm.jobs()
                driver.send_signal(signal.SIGINT)
                _, errors = driver.communicate(timeout=60)
            assert "KeyboardInterrupt" in errors
            assert slurm.jobs() == {everything}
        finally:
            wlm.slurm.release_allocation(everything)

    def test_what_partitions_have(self, slurm: Slurm) -> None:
        assert slurm.ask("sinfo", "--version")
        assert wlm.slurm.get_default_partition() == "debug"
        assert wlm.slurm.validate(nodes=4, ppn=4)
        assert not wlm.slurm.validate(nodes=5)
        assert not wlm.slurm.validate(ppn=5)
        assert wlm.slurm.validate(nodes=2, partition="short")
        assert not wlm.slurm.validate(nodes=3, partition="short")
