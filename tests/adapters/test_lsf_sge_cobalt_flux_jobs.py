"""What jobs of LSF, Grid Engine, Cobalt and Flux say of themselves; the answers are recorded ones."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from allocation_jobs import job
from smartsim.adapters.process.scripted import ScriptedProcessRunner
from smartsim.adapters.wlm.allocations.current import current_job
from smartsim.adapters.wlm.allocations.flux import parse_resources
from smartsim.adapters.wlm.allocations.lsf import parse_counted_hosts
from smartsim.domain.errors import LauncherError
from smartsim.domain.resources import Node


class TestLsf:
    JOB: Mapping[str, str] = {"LSB_JOBID": "1", "LSB_QUEUE": "normal", "LSB_MCPU_HOSTS": "h2 4 h1 2 "}

    def test_the_variables_tell(self) -> None:
        told = job("lsf", self.JOB)
        assert (told.hosts(), told.queue(), told.tasks()) == (["h1", "h2"], "normal", 6)
        assert told.tasks_per_node() == {"h2": 4, "h1": 2}
        assert told.nodes() == (Node("h2", (0, 1, 2, 3)), Node("h1", (0, 1)))

    def test_the_host_file_has_a_line_for_each_slot(self, tmp_path: Path) -> None:
        (tmp_path / "hosts").write_text("h1\nh1\nh2\n")
        told = job("lsf", {**self.JOB, "LSB_DJOB_HOSTFILE": str(tmp_path / "hosts")})
        assert told.tasks_per_node() == {"h1": 2, "h2": 1}

    def test_the_hosts_alone_will_do(self) -> None:
        assert job("lsf", {"LSB_JOBID": "1", "LSB_HOSTS": "vm vm"}).tasks_per_node() == {"vm": 2}

    def test_the_launch_node_is_not_the_jobs(self) -> None:
        environment = {"LSB_JOBID": "1", "LSB_MCPU_HOSTS": "batch3 1 a01n02 42 a01n03 42"}
        told = current_job("lsf", environment, ScriptedProcessRunner({"jsrun": "/opt/jsm/bin/jsrun"}))
        assert told is not None
        assert told.hosts() == ["a01n02", "a01n03"]
        assert told.tasks() == 84

    @pytest.mark.parametrize("text", ["h1", "h1 2 h2", "h1 x", "2 h1"])
    def test_what_are_no_hosts_is_told(self, text: str) -> None:
        with pytest.raises(LauncherError, match="each host should have its number of slots"):
            parse_counted_hosts(text)


# The host file of a job in the parallel environment mpi, of Son of Grid Engine 8.1.9
PE_HOSTFILE = """\
sgenode3 2 all.q@sgenode3 UNDEFINED
sgenode2 2 all.q@sgenode2 UNDEFINED
sgenode1 1 all.q@sgenode1 UNDEFINED
"""


class TestGridEngine:
    JOB: Mapping[str, str] = {
        "SGE_ROOT": "/opt/sge",
        "JOB_ID": "29",
        "QUEUE": "all.q",
        "NSLOTS": "5",
        "HOSTNAME": "sgenode3",
    }

    def test_the_host_file_tells(self, tmp_path: Path) -> None:
        (tmp_path / "pe_hostfile").write_text(PE_HOSTFILE)
        told = job("sge", {**self.JOB, "PE_HOSTFILE": str(tmp_path / "pe_hostfile")})
        assert (told.hosts(), told.queue(), told.tasks()) == (["sgenode1", "sgenode2", "sgenode3"], "all.q", 5)
        assert told.tasks_per_node() == {"sgenode3": 2, "sgenode2": 2, "sgenode1": 1}
        assert told.nodes() == (Node("sgenode3", (0, 1)), Node("sgenode2", (0, 1)), Node("sgenode1", (0,)))

    def test_a_job_without_a_parallel_environment_has_its_host(self) -> None:
        told = job("sge", {**self.JOB, "NSLOTS": "1"})
        assert (told.hosts(), told.tasks_per_node()) == (["sgenode3"], {"sgenode3": 1})
        assert told.nodes() == (Node("sgenode3", (0,)),)

    @pytest.mark.parametrize("line", ["sgenode1", "sgenode1 two all.q", "2 sgenode1"])
    def test_a_line_that_is_no_host_is_told(self, tmp_path: Path, line: str) -> None:
        (tmp_path / "pe_hostfile").write_text(f"{PE_HOSTFILE}{line}\n")
        with pytest.raises(LauncherError, match=f"line 4 of {tmp_path}/pe_hostfile, which PE_HOSTFILE of Grid Engine"):
            job("sge", {**self.JOB, "PE_HOSTFILE": str(tmp_path / "pe_hostfile")}).hosts()


class TestCobalt:
    def test_the_node_file_tells(self, tmp_path: Path) -> None:
        (tmp_path / "nodes").write_text("n2\nn1\n")
        told = job("cobalt", {"COBALT_JOBID": "7", "COBALT_NODEFILE": str(tmp_path / "nodes"), "COBALT_JOBSIZE": "3"})
        assert (told.hosts(), told.tasks(), told.tasks_per_node()) == (["n1", "n2"], 3, {"n2": 2, "n1": 1})
        assert [node.name for node in told.nodes()] == ["n2", "n1"]
        assert all(len(node.cpus) == os.cpu_count() for node in told.nodes())

    def test_the_queue_is_asked_for_where_no_variable_has_it(self) -> None:
        asked = ("qstat", "--header", "Queue", "7")
        told = job("cobalt", {"COBALT_JOBID": "7"}, (asked, "Queue    \n=========\ndefault  \n"))
        assert told.queue() == "default"
        with pytest.raises(LauncherError, match="qstat --header Queue 7 of Cobalt does not tell the queue"):
            job("cobalt", {"COBALT_JOBID": "7"}, (asked, "Queue\n=====\n")).queue()

    def test_cray_machines_have_numbers(self) -> None:
        told = job("cobalt", {"COBALT_JOBID": "7", "COBALT_PARTNAME": "12-13,3835", "COBALT_QUEUE": "debug"})
        assert (told.hosts(), told.queue()) == (["nid00012", "nid00013", "nid03835"], "debug")

    def test_other_names_are_told(self) -> None:
        with pytest.raises(LauncherError, match="COBALT_PARTNAME='ANL-R00' cannot be read"):
            job("cobalt", {"COBALT_JOBID": "7", "COBALT_PARTNAME": "ANL-R00"}).hosts()


# flux resource R: RFC 20, version 1
FLUX_RESOURCES = json.dumps(
    {
        "version": 1,
        "execution": {
            "R_lite": [
                {"rank": "0-1", "children": {"core": "0-3", "gpu": "0-1"}},
                {"rank": "2", "children": {"core": "0,2"}},
            ],
            "starttime": 0.0,
            "expiration": 0.0,
            "nodelist": ["fluke[10-11]", "big1"],
        },
    }
)


class TestFlux:
    JOB: Mapping[str, str] = {"FLUX_URI": "local:///run/flux/local"}

    def test_the_instance_tells(self) -> None:
        told = job(
            "flux",
            self.JOB,
            (("flux", "resource", "R"), FLUX_RESOURCES),
            (("flux", "getattr", "jobid"), "ƒ2QHVd9Z\n"),
            (("flux", "--parent", "jobs", "-n", "-o", "{queue}", "ƒ2QHVd9Z"), "batch\n"),
        )
        assert (told.hosts(), told.queue(), told.tasks()) == (["big1", "fluke10", "fluke11"], "batch", 10)
        assert told.tasks_per_node() == {"fluke10": 4, "fluke11": 4, "big1": 2}
        assert told.nodes() == (
            Node("fluke10", (0, 1, 2, 3), (0, 1)),
            Node("fluke11", (0, 1, 2, 3), (0, 1)),
            Node("big1", (0, 2)),
        )

    def test_brokers_on_one_node_are_one_node(self) -> None:
        several = FLUX_RESOURCES.replace('"fluke[10-11]", "big1"', '"vm", "vm", "vm"')
        assert parse_resources(several) == (Node("vm", (0, 1, 2, 3), (0, 1)),)

    @pytest.mark.parametrize(
        "text", ["", "{}", "[]", FLUX_RESOURCES.replace('"big1"', '"a", "b"'), FLUX_RESOURCES.replace("0-3", "x")]
    )
    def test_an_answer_that_cannot_be_read_is_told(self, text: str) -> None:
        with pytest.raises(LauncherError, match="flux resource R does not tell of the nodes"):
            parse_resources(text)
