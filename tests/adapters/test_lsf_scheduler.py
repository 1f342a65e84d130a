"""What is said to LSF, and what is made of its answers."""

import re
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import directive_readers as read
from smartsim.adapters.wlm.lsf import Lsf
from smartsim.adapters.wlm.scheduler import JobFacts, Phase, Scheduler
from smartsim.domain.errors import LauncherError
from smartsim.domain.settings.bsub import BsubBatchSettings
from smartsim.domain.steps import Batch
from smartsim.ports.process_runner import Completed

RECORDED = Path(__file__).parent / "recorded"
LSF: Scheduler = Lsf()
TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1)


def batch(
    *directives: str, name: str = "ens-1", array: bool = False, out: str = "/exp/ens.out", script: str = "/exp/ens.sh"
) -> Batch:
    return Batch(name, ("bsub",), directives, (), script, "/exp/b", out, "/exp/e", array=array)


def recorded(name: str, returncode: int = 0, stderr: str = "") -> Completed:
    return Completed(returncode, (RECORDED / name).read_text(), stderr)


def test_the_options_are_words_of_the_command_and_stand_in_the_script_too() -> None:
    job = batch("-W 01:00", "-P P1", '-alloc_flags "nvme smt4"', "-nnodes 2")
    assert LSF.header(job, 1) == (
        "#!/bin/bash",
        "",
        "#BSUB -J ens-1",
        "#BSUB -o /exp/ens.out",
        "#BSUB -e /exp/e",
        "#BSUB -W 01:00",
        "#BSUB -P P1",
        '#BSUB -alloc_flags "nvme smt4"',
        "#BSUB -nnodes 2",
    )
    assert LSF.submission(job, 1) == (
        *("bsub", "-J", "ens-1", "-o", "/exp/ens.out", "-e", "/exp/e"),
        *("-W", "01:00", "-P", "P1", "-alloc_flags", "nvme smt4", "-nnodes", "2"),
        "/exp/ens.sh",
    )


def test_elements_of_an_array_are_counted_from_one_and_have_files_of_their_own() -> None:
    command = LSF.submission(batch(array=True), 10)
    assert command[1:7] == ("-J", "ens-1[1-10]", "-o", "/exp/ens.out.%I", "-e", "/exp/e.%I")
    assert LSF.element_id("28", 0) == "28[1]"


@given(TEXT)
def test_every_path_is_one_word_or_refused(text: str) -> None:
    job = batch(out=f"/{text}", script=f"/{text}.sh")
    if re.search("%[IJ]", text):
        with pytest.raises(LauncherError, match=re.escape(text)):
            LSF.submission(job, 1)
    else:
        command = LSF.submission(job, 1)
        assert command[4] == f"/{text}"
        assert shlex.split(command[-1]) == [f"/{text}.sh"]


def test_a_path_that_lsf_would_expand_is_refused() -> None:
    with pytest.raises(LauncherError, match="a%J"):
        LSF.header(batch(out="/exp/a%J.out"), 1)


@given(TEXT)
def test_every_name_becomes_one_that_lsf_takes(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_.+-]+", LSF.submission(batch(name=text), 1)[2])


@given(TEXT.filter(lambda text: not {'"', "'"} <= set(text) and text == text.strip()))
def test_the_words_are_what_lsf_reads_in_the_script(value: str) -> None:
    settings = BsubBatchSettings(batch_args={"sla": f"x{value}"})
    [directive] = settings.directives()
    assert list(LSF.submission(batch(directive), 1)[7:-1]) == read.lsf(directive)


@pytest.mark.parametrize(
    ("said", "job"),
    [
        ("Job <1> is submitted to queue <normal>.\n", "1"),
        ("Job <2> is submitted to default queue <normal>.\n", "2"),
        ("a hook of the site says Job <7> hello\nJob <26> is submitted to queue <batch>.\n", "26"),
    ],
)
def test_a_job_is_known_by_its_number(said: str, job: str) -> None:
    assert LSF.job_id(Completed(0, said, "Job will be scheduled after Sat Nov 21 23:59:00 2026\n")) == job


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("nosuch: No such queue. Job not submitted.", "bqueues"),
        ("closedq: Queue has been closed. Job not submitted.", "bqueues"),
        ("Too many processors requested. Job not submitted.", "bhosts"),
        ("nohost: Bad host name, host group name or cluster name. Job not submitted.", "-m"),
        ("RUNLIMIT: Cannot exceed queue's hard limit(s). Job not submitted.", "-W"),
        ("User permission denied. Job not submitted.", "root never may"),
        ("bogus(62): Dependency condition syntax error. Job not submitted.", "-w"),
        ("Bad argument for option -n. Job not submitted.", "set_tasks"),
        ("bsub: illegal option -- zz\nUsage: bsub [-h] [-V]", "option named"),
        ("**  Project not specified.\nRequest aborted by esub. Job not submitted.", "-P"),
    ],
)
def test_a_refusal_tells_what_lsf_said_and_what_to_do(said: str, advice: str) -> None:
    with pytest.raises(LauncherError) as refused:
        LSF.job_id(Completed(255, "", f"{said}\n"))
    assert said in str(refused.value)
    assert advice in str(refused.value)


def test_one_command_asks_after_all_jobs_in_a_form_of_its_own() -> None:
    assert LSF.query(["1", "28"]) == ("bjobs", "-a", "-json", "-o", "JOBID STAT JOB_NAME", "1", "28")
    assert LSF.accounting({"1": "/exp/a", "28": "/exp/b"}) == (("bhist", "-l", "1", "28"),)


@pytest.mark.parametrize("returncode", [0, 255])
def test_the_queue_tells_where_jobs_and_elements_stand(returncode: int) -> None:
    facts = dict(LSF.facts(recorded("lsf_bjobs.txt", returncode), []))
    held = facts.pop("18")
    assert facts == {
        "53": JobFacts(Phase.RUNNING),
        "28[1]": JobFacts(Phase.ENDED),
        "28[2]": JobFacts(Phase.ENDED),
        "28[3]": JobFacts(Phase.RUNNING),
        "28[4]": JobFacts(Phase.QUEUED),
        "20": JobFacts(Phase.QUEUED),
        "19": JobFacts(Phase.SUSPENDED),
        "60": JobFacts(Phase.SUSPENDED),
        "73": JobFacts(Phase.RUNNING),
        "3": JobFacts(Phase.ENDED),
        "4": JobFacts(Phase.ENDED),
    }
    assert held.phase is Phase.QUEUED
    assert "bresume 18" in held.reason


@pytest.mark.parametrize("said", ["No unfinished job found", "No job found", "Job <99999> is not found"])
def test_jobs_that_the_queue_has_forgotten_are_missing(said: str) -> None:
    assert LSF.facts(Completed(255, "", f"{said}\n"), ["99999"]) == {}


@pytest.mark.parametrize(
    "said",
    [
        "LSF daemon (LIM) not responding ... still trying",
        "LSF is down. Please wait ...",
        "<JOB_NAME> in the format string is not a valid field name.",
        "",
    ],
)
def test_an_lsf_that_does_not_answer_says_nothing_of_any_job(said: str) -> None:
    with pytest.raises(LauncherError, match="LSF did not answer"):
        LSF.facts(Completed(255, "", said), ["1"])


@pytest.mark.parametrize(
    ("job", "facts"),
    [
        ("19", JobFacts(Phase.ENDED, -2, cancelled_by="lsfadm")),
        ("20", JobFacts(Phase.ENDED, None, cancelled_by="lsfadm")),
        ("1", JobFacts(Phase.ENDED, 7)),
        ("4", JobFacts(Phase.ENDED, 3)),
        ("28[2]", JobFacts(Phase.ENDED, 2)),
        ("26", JobFacts(Phase.ENDED, -12, "time limit: the job ran longer than its -W")),
        # Their shells were ended by a signal, and LSF says that they are done.
        ("21", JobFacts(Phase.ENDED, None)),
        ("27", JobFacts(Phase.ENDED, None, "time limit: the job ran longer than its -W")),
    ],
)
def test_the_history_tells_how_jobs_ended(job: str, facts: JobFacts) -> None:
    assert LSF.accounted(recorded("lsf_bhist.txt"), [])[job] == facts


@pytest.mark.parametrize(
    ("job", "facts"),
    [
        ("101", JobFacts(Phase.ENDED, -12, "time limit: the job ran longer than its -W")),
        ("102", JobFacts(Phase.ENDED, -9, "out of memory: the job used more than its -M")),
        ("103", JobFacts(Phase.ENDED, -2, cancelled_by="an administrator")),
        ("104", JobFacts(Phase.ENDED, 1, "LSF ended the job (TERM_DATA)")),
    ],
)
def test_the_history_of_ibms_lsf_has_reasons(job: str, facts: JobFacts) -> None:
    assert LSF.accounted(recorded("lsf_bhist_reasons.txt"), [])[job] == facts


def test_a_job_that_runs_again_has_not_ended() -> None:
    assert "105" not in LSF.accounted(recorded("lsf_bhist_reasons.txt"), [])


def test_a_job_that_did_well_is_done() -> None:
    text = (RECORDED / "lsf_bhist.txt").read_text().replace("Post job process failed;", "")
    assert LSF.accounted(Completed(0, text, ""), [])["21"] == JobFacts(Phase.ENDED, 0)


def test_a_job_that_has_no_history_is_not_known() -> None:
    assert LSF.accounted(Completed(255, "No matching job found\n", ""), ["99999"]) == {}


@given(st.text())
def test_no_answer_is_taken_for_what_it_does_not_say(text: str) -> None:
    assert LSF.accounted(Completed(0, text, ""), []) == {}


def test_jobs_and_elements_are_ended_by_one_command_which_is_not_polite() -> None:
    assert LSF.cancellation(["5", "28[2]"], force=True) == ("bkill", "5", "28[2]")
    assert LSF.cancellation(["5", "28[2]"], force=False) == ()
