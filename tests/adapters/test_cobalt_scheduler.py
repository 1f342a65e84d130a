"""What is said to Cobalt, and what is made of its answers."""

import subprocess
from pathlib import Path

import pytest

from smartsim.adapters.wlm.cobalt import Cobalt
from smartsim.adapters.wlm.scheduler import JobFacts, Phase
from smartsim.domain.errors import LauncherError, LauncherUnsupportedFeature
from smartsim.domain.steps import Batch
from smartsim.ports.process_runner import Completed

RECORDED = Path(__file__).parent / "recorded"
COBALT = Cobalt()


def batch(*directives: str, array: bool = False) -> Batch:
    return Batch(
        "ens 1", ("qsub",), directives, (), "/exp/a b.sh", "/exp/batch", "/exp/a b.out", "/exp/a b.err", array=array
    )


def test_the_directives_follow_the_shebang_at_once() -> None:
    assert COBALT.header(batch("-n 2", "-t 60", "-q debug"), 1) == (
        "#!/bin/bash",
        "#COBALT -n 2",
        "#COBALT -t 60",
        "#COBALT -q debug",
    )


def test_what_may_hold_blanks_is_an_argument() -> None:
    assert COBALT.submission(batch(), 1) == (
        "qsub",
        *("--jobname", "ens 1", "-o", "/exp/a b.out", "-e", "/exp/a b.err"),
        *("--debuglog", "/exp/batch/$jobid.cobaltlog", "/exp/a b.sh"),
    )


def test_there_are_no_arrays() -> None:
    with pytest.raises(LauncherUnsupportedFeature, match="no job arrays"):
        COBALT.header(batch(array=True), 3)
    with pytest.raises(LauncherUnsupportedFeature, match="no job arrays"):
        COBALT.element_id("345678", 1)


@pytest.mark.parametrize(
    "stdout",
    [
        "345678\n",
        "Job routed to queue debug-cache-quad\nMemory mode set to cache quad for queue debug-cache-quad\n345678\n",
        "345678 the job will wait for maintenance\n",
    ],
)
def test_a_job_is_known_by_the_last_number(stdout: str) -> None:
    assert COBALT.job_id(Completed(0, stdout, "")) == "345678"


@pytest.mark.parametrize(
    ("said", "option"),
    [
        ("'time' not provided", "-t"),
        ("'nodecount' not provided", "-n"),
        ("Queue 'nosuch' is not valid", "-q"),
        ("No active project found for climate", "-A"),
        ("command /exp/ens.sh is not executable", "chmod"),
        ("component error: queue-manager: Connection refused", "does not answer"),
    ],
)
def test_a_refusal_tells_what_cobalt_said_and_what_to_do(said: str, option: str) -> None:
    with pytest.raises(LauncherError) as refused:
        COBALT.job_id(Completed(1, "", f"{said}\n"))
    assert said in str(refused.value)
    assert option in str(refused.value).partition(said)[2]


def test_the_columns_are_named() -> None:
    assert COBALT.query(["345678", "345679"]) == ("qstat", "--header", "JobID:State", "345678", "345679")


def test_the_queue_tells_where_jobs_stand() -> None:
    facts = COBALT.facts(Completed(0, (RECORDED / "cobalt_qstat.txt").read_text(), ""), [])
    assert {job: fact.phase for job, fact in facts.items()} == {
        "345678": Phase.RUNNING,
        "345679": Phase.QUEUED,
        "345680": Phase.QUEUED,
        "345681": Phase.QUEUED,
        "345682": Phase.QUEUED,
        "345683": Phase.QUEUED,
        "345684": Phase.SUSPENDED,
        "345685": Phase.RUNNING,
        "345686": Phase.QUEUED,
    }
    assert {job for job, fact in facts.items() if fact.reason} == {"345680", "345683"}
    assert "qrls --dependencies 345680" in facts["345680"].reason


def test_jobs_that_are_over_are_missing() -> None:
    assert COBALT.facts(Completed(1, "", ""), ["345678"]) == {}
    assert COBALT.facts(Completed(0, "JobID  State  \n===============\n", ""), ["345678"]) == {}


def test_a_server_that_does_not_answer_says_nothing_of_any_job() -> None:
    with pytest.raises(LauncherError, match="component error"):
        COBALT.facts(Completed(1, "", "component error: connection refused\n"), ["345678"])


def test_the_logs_tell_how_jobs_ended() -> None:
    answer = Completed(
        2, (RECORDED / "cobalt_logs.txt").read_text(), "grep: /exp/batch/345683.cobaltlog: No such file\n"
    )
    assert COBALT.accounted(answer, []) == {
        "345678": JobFacts(Phase.ENDED, 7),
        "345679": JobFacts(Phase.ENDED, -15, "time limit: the job ran longer than it asked for (-t)"),
        "345680": JobFacts(Phase.ENDED, None, cancelled_by="somebody"),
        "345681": JobFacts(Phase.ENDED, None, cancelled_by="frieda"),
        "345682": JobFacts(Phase.ENDED, None),
    }


def test_of_a_log_only_the_end_is_read(tmp_path: Path) -> None:
    (tmp_path / "12.cobaltlog").write_text(
        "Jobid: 12\nqsub -t 1 -n 1 /exp/ens.sh\nEnvironment:\nTOKEN=secret\n"
        "Info: task completed normally with an exit code of 3; initiating job cleanup and removal\n"
    )
    command = COBALT.accounting({"12": str(tmp_path), "13": str(tmp_path)})[0]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "secret" not in said.stdout
    assert COBALT.accounted(Completed(said.returncode, said.stdout, said.stderr), ["12", "13"]) == {
        "12": JobFacts(Phase.ENDED, 3)
    }


def test_jobs_are_deleted() -> None:
    assert COBALT.cancellation(["1", "2"], force=True) == ("qdel", "1", "2")
