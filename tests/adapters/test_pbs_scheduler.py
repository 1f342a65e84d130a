"""What is said to PBS, and what is made of its answers."""

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.adapters.wlm.pbs import Pbs
from smartsim.adapters.wlm.scheduler import JobFacts, Phase, Scheduler
from smartsim.domain.errors import LauncherError
from smartsim.domain.steps import Batch
from smartsim.ports.process_runner import Completed

RECORDED = Path(__file__).parent / "recorded"
PBS: Scheduler = Pbs()


def batch(
    *directives: str, name: str = "ens-1", array: bool = False, stdout: str = "/exp/ens.out", stderr: str = "/exp/e"
) -> Batch:
    return Batch(name, ("qsub",), directives, (), "/exp/ens.sh", "/exp/batch", stdout, stderr, array=array)


def recorded(name: str, returncode: int = 0, stderr: str = "") -> Completed:
    return Completed(returncode, (RECORDED / name).read_text(), stderr)


def test_the_header_says_what_the_job_asks_for() -> None:
    assert PBS.header(batch("-l select=2:ncpus=8", "-l walltime=36:00:00", "-q debug"), 1) == (
        "#!/bin/bash",
        "",
        "#PBS -o /exp/ens.out",
        "#PBS -e /exp/e",
        "#PBS -N ens-1",
        "#PBS -V",
        "#PBS -l select=2:ncpus=8",
        "#PBS -l walltime=36:00:00",
        "#PBS -q debug",
    )


def test_elements_of_an_array_do_not_share_their_files() -> None:
    header = PBS.header(batch(array=True), 10)
    assert "#PBS -J 0-9" in header
    assert "#PBS -o /exp/ens.out.^array_index^" in [line.replace("'", "") for line in header]
    assert PBS.element_id("123[].pbsserver", 4) == "123[4].pbsserver"


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1))
def test_every_path_is_one_word_and_every_name_is_one_that_pbs_takes(text: str) -> None:
    lines = PBS.header(batch(name=text, stdout=f"/{text}", stderr=f"/{text}"), 1)
    assert shlex.split(lines[2])[1:] == ["-o", f"/{text}"]
    assert shlex.split(lines[3])[1:] == ["-e", f"/{text}"]
    assert 0 < len(lines[4].removeprefix("#PBS -N ")) <= 230
    assert len(lines[4].split()) == 3


def test_a_job_is_known_by_what_qsub_prints_last() -> None:
    assert PBS.submission(batch(), 1) == ("qsub", "/exp/ens.sh")
    assert PBS.job_id(Completed(0, "32.pbsserver\n", "")) == "32.pbsserver"
    assert PBS.job_id(Completed(0, "36[].pbsserver\n", "")) == "36[].pbsserver"
    assert PBS.job_id(Completed(0, "You have 12 node hours left.\n32.polaris-pbs-01.hsn\n", "")) == (
        "32.polaris-pbs-01.hsn"
    )


@pytest.mark.parametrize(
    ("said", "returncode", "names"),
    [
        ("qsub: Unknown queue", 170, "-q"),
        ("qsub: Illegal attribute or resource value Resource_List.walltime", 166, "-l walltime is HH:MM:SS"),
        ("qsub: Job violates queue and/or server resource limits", 188, "-l select"),
        ("qsub: Invalid account 'nobody'", 1, "-A"),
        ("qsub: cannot connect to server pbsserver (errno=111)", 111, "qstat -B"),
        ("qsub: something new", 1, "something new"),
    ],
)
def test_a_refusal_tells_what_pbs_said_and_what_to_do(said: str, returncode: int, names: str) -> None:
    with pytest.raises(LauncherError) as refused:
        PBS.job_id(Completed(returncode, "", f"{said}\n"))
    assert said in str(refused.value)
    assert names in str(refused.value)


def test_a_silent_qsub_is_a_refusal() -> None:
    with pytest.raises(LauncherError, match="it said nothing"):
        PBS.job_id(Completed(0, "\n", ""))


def test_one_command_asks_after_all_jobs_and_their_elements() -> None:
    assert PBS.query(["32.pbsserver", "36[].pbsserver"]) == ("qstat", "-t", "-f", "32.pbsserver", "36[].pbsserver")
    assert PBS.accounting({"32.pbsserver": "/exp/batch"}) == (("qstat", "-x", "-t", "-f", "32.pbsserver"),)


@pytest.mark.parametrize(
    ("job", "facts"),
    [
        ("36[0].pbsserver", JobFacts(Phase.ENDED, 0)),
        ("36[1].pbsserver", JobFacts(Phase.ENDED, 1)),
        ("36[2].pbsserver", JobFacts(Phase.RUNNING)),
        ("36[3].pbsserver", JobFacts(Phase.QUEUED)),
        ("36[].pbsserver", JobFacts(Phase.RUNNING)),
        ("40.pbsserver", JobFacts(Phase.QUEUED)),
        ("41.pbsserver", JobFacts(Phase.RUNNING)),
        ("42.pbsserver", JobFacts(Phase.SUSPENDED)),
        ("46.pbsserver", JobFacts(Phase.QUEUED)),
    ],
)
def test_the_queue_tells_where_jobs_and_elements_stand(job: str, facts: JobFacts) -> None:
    assert PBS.facts(recorded("pbs_queue.txt"), [])[job] == facts


def test_a_job_that_does_not_start_by_itself_says_why() -> None:
    facts = PBS.facts(recorded("pbs_queue.txt"), [])
    assert facts["43.pbsserver"].phase is facts["39.pbsserver"].phase is Phase.QUEUED
    assert "ncpus (R: 99 A: 16 T: 16)" in facts["43.pbsserver"].reason
    assert "-l select" in facts["43.pbsserver"].reason
    assert "qrls 39.pbsserver" in facts["39.pbsserver"].reason


def test_jobs_that_finished_are_known_to_have_and_jobs_that_were_purged_are_missing() -> None:
    said = (
        "qstat: 32.pbsserver Job has finished, use -x or -H to obtain historical job information\n"
        "qstat: Unknown Job Id 99999.pbsserver\n"
    )
    asked = ["32.pbsserver", "41.pbsserver", "99999.pbsserver"]
    finished = {"32.pbsserver": JobFacts(Phase.ENDED)}
    assert PBS.facts(Completed(35, "", said.splitlines()[0]), asked) == finished
    facts = PBS.facts(recorded("pbs_queue.txt", 153, said), asked)
    assert {job: fact for job, fact in facts.items() if job in asked} == finished | {
        "41.pbsserver": JobFacts(Phase.RUNNING)
    }


def test_a_server_that_does_not_answer_says_nothing_of_any_job() -> None:
    with pytest.raises(LauncherError, match=r"(?s)cannot connect to server pbsserver.*qstat -B"):
        PBS.facts(Completed(111, "", "qstat: cannot connect to server pbsserver (errno=111)\n"), ["41.pbsserver"])


@pytest.mark.parametrize(
    ("job", "facts"),
    [
        ("32.pbsserver", JobFacts(Phase.ENDED, 7)),  # its environment says that it runs
        ("37.pbsserver", JobFacts(Phase.ENDED, None, cancelled_by="somebody")),
        ("38.pbsserver", JobFacts(Phase.ENDED, None, "time limit: the job ran longer than its walltime")),
        ("39.pbsserver", JobFacts(Phase.ENDED, None, cancelled_by="somebody")),
        ("44.pbsserver", JobFacts(Phase.ENDED, -9)),
    ],
)
def test_the_history_tells_how_jobs_ended(job: str, facts: JobFacts) -> None:
    assert PBS.accounted(recorded("pbs_finished.txt"), [])[job] == facts


def test_a_job_that_pbs_could_not_run_says_so_in_the_words_of_pbs() -> None:
    facts = PBS.accounted(recorded("pbs_finished.txt"), [])["45.pbsserver"]
    assert facts.returncode is None
    assert "-4" in facts.reason
    assert "aborted by the execution host" in facts.reason


def test_where_pbs_keeps_no_history_nothing_is_in_the_books() -> None:
    answer = Completed(34, "", "qstat: PBS is not configured to maintain job history\n")
    assert PBS.accounted(answer, ["32.pbsserver"]) == {}


@given(st.integers(0, 255), st.integers(1, 64))
def test_exit_codes_and_signals_are_told_apart(code: int, signal: int) -> None:
    text = "Job Id: 1.s\n    job_state = F\n    substate = 93\n    Exit_status = {}\n\n"
    assert PBS.accounted(Completed(0, text.format(code), ""), [])["1.s"].returncode == code
    assert PBS.accounted(Completed(0, text.format(256 + signal), ""), [])["1.s"].returncode == -signal


@given(st.text())
def test_no_answer_is_taken_for_what_it_does_not_say(text: str) -> None:
    assert PBS.accounted(Completed(0, text, ""), []) == {}


def test_jobs_and_elements_are_deleted_politely_and_by_force() -> None:
    assert PBS.cancellation(["1.s", "36[2].s"], force=False) == ("qdel", "1.s", "36[2].s")
    assert PBS.cancellation(["1.s"], force=True) == ("qdel", "-W", "force", "1.s")
