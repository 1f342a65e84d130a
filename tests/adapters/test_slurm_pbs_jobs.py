"""What jobs of Slurm and PBS say of themselves; the answers are recorded ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from allocation_jobs import job
from smartsim.adapters.process.scripted import ScriptedProcessRunner
from smartsim.adapters.wlm.allocations.current import allocation
from smartsim.adapters.wlm.allocations.job import CurrentJob
from smartsim.adapters.wlm.allocations.pbs import parse_job, parse_vnodes
from smartsim.adapters.wlm.allocations.slurm import parse_details
from smartsim.domain.errors import LauncherError
from smartsim.domain.resources import Node
from smartsim.ports.process_runner import Completed

# scontrol show job -d, of Slurm 22.05.8
SLURM_DETAILS = """\
JobId=33 JobName=alloc1
   Partition=debug AllocNode:Sid=localhost:7289
   ReqNodeList=(null) ExcNodeList=(null)
   NodeList=node[1-2]
   BatchHost=node1
   NumNodes=2 NumCPUs=4 NumTasks=2 CPUs/Task=2 ReqB:S:C:T=0:0:*:*
   TRES=cpu=4,node=2,billing=4,gres/gpu=2
   Socks/Node=* NtasksPerN:B:S:C=0:0:*:* CoreSpec=*
   JOB_GRES=gpu:2
     Nodes=node[1-2] CPU_IDs=2-3 Mem=0 GRES=gpu:1(IDX:0)
   MinCPUsNode=2 MinMemoryCPU=100M MinTmpDiskNode=0
   TresPerNode=gres:gpu:1

"""
SLURM_HET_DETAILS = """\
JobId=53 HetJobId=53 HetJobOffset=0 JobName=het
   HetJobIdSet=53-54
   NodeList=node1
     Nodes=node1 CPU_IDs=3 Mem=0 GRES=

JobId=54 HetJobId=53 HetJobOffset=1 JobName=het
   HetJobIdSet=53-54
   NodeList=node[2-3]
     Nodes=node2 CPU_IDs=1-3 Mem=0 GRES=gpu:a100:2(IDX:0-1),nic:1(IDX:3)
     Nodes=node3 CPU_IDs=0 Mem=0 GRES=gpu(IDX:2,4)

"""


class TestSlurm:
    JOB: Mapping[str, str] = {
        "SLURM_JOB_ID": "33",
        "SLURM_JOB_NODELIST": "node[2,10]",
        "SLURM_JOB_PARTITION": "debug",
        "SLURM_NTASKS": "3",
        "SLURM_TASKS_PER_NODE": "1,2",
        "SLURM_JOB_CPUS_PER_NODE": "1,2",
    }

    def test_the_variables_tell(self) -> None:
        told = job("slurm", self.JOB)
        assert (told.hosts(), told.queue(), told.tasks()) == (["node10", "node2"], "debug", 3)

    def test_tasks_belong_to_nodes_in_the_order_of_slurm(self) -> None:
        assert job("slurm", self.JOB).tasks_per_node() == {"node2": 1, "node10": 2}

    def test_tasks_are_those_of_the_nodes_where_none_were_asked_for(self) -> None:
        told = job("slurm", {**self.JOB, "SLURM_NTASKS": "", "SLURM_TASKS_PER_NODE": "2(x2)"})
        assert told.tasks() == 4

    def test_a_step_has_tasks_of_its_own(self) -> None:
        told = job("slurm", {**self.JOB, "SLURM_STEP_NODELIST": "node10", "SLURM_TASKS_PER_NODE": "1"})
        assert told.tasks_per_node() == {"node10": 1}
        assert told.hosts() == ["node10", "node2"]

    def test_a_heterogeneous_job_is_all_its_components(self) -> None:
        told = job(
            "slurm",
            {
                "SLURM_JOB_ID": "53",
                "SLURM_HET_SIZE": "2",
                "SLURM_NTASKS": "5",
                "SLURM_JOB_NODELIST_HET_GROUP_0": "node1",
                "SLURM_JOB_NODELIST_HET_GROUP_1": "node[2-3]",
                "SLURM_TASKS_PER_NODE_HET_GROUP_0": "1",
                "SLURM_TASKS_PER_NODE_HET_GROUP_1": "3,1",
                "SLURM_JOB_PARTITION_HET_GROUP_0": "debug",
                "SLURM_JOB_PARTITION_HET_GROUP_1": "long",
            },
            (("scontrol", "show", "job", "-d", "53"), SLURM_HET_DETAILS),
        )
        assert (told.hosts(), told.queue(), told.tasks()) == (["node1", "node2", "node3"], "debug", 5)
        assert told.tasks_per_node() == {"node1": 1, "node2": 3, "node3": 1}
        assert told.nodes() == (
            Node("node1", (3,)),
            Node("node2", (1, 2, 3), (0, 1)),
            Node("node3", (0,), (2, 4)),
        )

    def test_nodes_have_the_cpus_and_gpus_that_slurm_chose(self) -> None:
        told = job("slurm", self.JOB, (("scontrol", "show", "job", "-d", "33"), SLURM_DETAILS))
        assert told.nodes() == (Node("node1", (2, 3), (0,)), Node("node2", (2, 3), (0,)))

    def test_without_details_the_cpus_are_counted(self) -> None:
        told = job("slurm", self.JOB, (("scontrol", "show", "job", "-d", "33"), "JobId=33 JobName=x\n"))
        assert told.nodes() == (Node("node2", (0,)), Node("node10", (0, 1)))

    def test_an_element_of_an_array_is_not_the_whole_array(self) -> None:
        element = {**self.JOB, "SLURM_ARRAY_JOB_ID": "33", "SLURM_ARRAY_TASK_ID": "5"}
        told = job("slurm", element, (("scontrol", "show", "job", "-d", "33_5"), SLURM_DETAILS))
        assert len(told.nodes()) == 2

    @pytest.mark.parametrize(
        ("changed", "ask", "message"),
        [
            ({"SLURM_JOB_NODELIST": "node[1-"}, "hosts", "SLURM_JOB_NODELIST cannot be read"),
            ({"SLURM_TASKS_PER_NODE": "2(x"}, "tasks_per_node", "SLURM_TASKS_PER_NODE cannot be read"),
            (
                {"SLURM_TASKS_PER_NODE": "2"},
                "tasks_per_node",
                "has 2 nodes, but SLURM_TASKS_PER_NODE has numbers for 1",
            ),
            ({"SLURM_NTASKS": "many"}, "tasks", "SLURM_NTASKS='many' of Slurm is no number"),
            ({}, "nodes", "There is no scontrol in the search path"),
        ],
    )
    def test_what_cannot_be_read_is_told(self, changed: dict[str, str], ask: str, message: str) -> None:
        with pytest.raises(LauncherError, match=message):
            getattr(job("slurm", {**self.JOB, **changed}), ask)()

    def test_details_that_cannot_be_read_are_told(self) -> None:
        with pytest.raises(LauncherError, match="scontrol's 'Nodes=node1 CPU_IDs=x-3 Mem=0' cannot be read"):
            parse_details("     Nodes=node1 CPU_IDs=x-3 Mem=0\n")

    def test_what_slurm_complains_of_is_told(self) -> None:
        argv = ("scontrol", "show", "job", "-d", "33")
        silent = ScriptedProcessRunner(
            {"scontrol": "scontrol"}, {argv: Completed(1, "", "slurm_load_jobs error: Invalid job id specified\n")}
        )
        with pytest.raises(
            LauncherError, match="scontrol show job -d 33 failed with exit code 1: slurm_load_jobs error"
        ):
            allocation(self.JOB, silent)


# qstat -f -F json, of OpenPBS 23.06.06, shortened
PBS_SERVER = {"timestamp": 1795303604, "pbs_version": "23.06.06", "pbs_server": "pbsserver"}
PBS_JOB = {
    "Job_Name": "hello",
    "job_state": "R",
    "queue": "workq",
    "resources_used": {"cpupercent": 0, "ncpus": 4, "walltime": "00:00:00"},
    "exec_host": "pbsnode1/0*2+pbsnode2/0*2",
    "exec_vnode": "(pbsnode1:ncpus=2)+(pbsnode2:ncpus=2)",
    "Resource_List": {"ncpus": 4, "nodect": 2, "select": "2:ncpus=2"},
}


class TestPbs:
    def job(self, environment: Mapping[str, str] | None = None, **changed: Any) -> CurrentJob:
        said = json.dumps({**PBS_SERVER, "Jobs": {"32.pbsserver": {**PBS_JOB, **changed}}})
        variables = {"PBS_JOBID": "32.pbsserver", "PBS_QUEUE": "workq", **(environment or {})}
        return job("pbs", variables, (("qstat", "-f", "-F", "json", "32.pbsserver"), said))

    def test_hosts_are_those_of_the_node_file_without_their_domain(self, tmp_path: Path) -> None:
        (tmp_path / "nodes").write_text("n2.site.org\nn1.site.org\n\nn2.site.org\n")
        assert self.job({"PBS_NODEFILE": str(tmp_path / "nodes")}).hosts() == ["n1", "n2"]

    def test_the_server_tells_the_rest(self) -> None:
        told = self.job()
        assert (told.queue(), told.tasks()) == ("workq", 4)
        assert told.tasks_per_node() == {"pbsnode1": 2, "pbsnode2": 2}
        assert told.nodes() == (Node("pbsnode1", (0, 1)), Node("pbsnode2", (0, 1)))

    def test_a_job_that_has_used_nothing_yet_has_what_it_asked_for(self) -> None:
        assert self.job(resources_used={}).tasks() == 4
        assert self.job(resources_used={}, Resource_List={"ncpus": "8"}).tasks() == 8
        assert self.job(resources_used={}, Resource_List={}).tasks() == 4

    def test_gpus_are_counted(self) -> None:
        told = self.job(exec_vnode="(n1.site.org:ncpus=1:ngpus=2)+(n1.site.org:ncpus=1:mem=2gb)")
        assert told.nodes() == (Node("n1", (0, 1), (0, 1)),)

    @pytest.mark.parametrize(
        ("text", "cpus"),
        [
            ("(a:ncpus=1)", {"a": 1}),
            ("(a:ncpus=1+b:ncpus=2)+(a:ncpus=3)", {"a": 4, "b": 2}),
            ("(r1i0n0[0]:ncpus=2+r1i0n0[1]:ncpus=2)", {"r1i0n0": 4}),
            ("(a:mem=4kb:ncpus=10)", {"a": 10}),
        ],
    )
    def test_chunks_of_a_host_belong_together(self, text: str, cpus: dict[str, int]) -> None:
        assert parse_vnodes(text)["ncpus"] == cpus

    @pytest.mark.parametrize("text", ["", "()", "(a:ncpus=1)+", "(:ncpus=1)"])
    def test_what_are_no_chunks_is_told(self, text: str) -> None:
        with pytest.raises(LauncherError, match="exec_vnode of the job cannot be read"):
            parse_vnodes(text)

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"Jobs": {}}', '{"Jobs": {"1.s": 3}}'])
    def test_an_answer_that_cannot_be_read_is_told(self, text: str) -> None:
        with pytest.raises(LauncherError, match="qstat -f -F json 1.s does not tell of the job"):
            parse_job(text, "1.s")
