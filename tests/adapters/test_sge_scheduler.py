"""What is said to Grid Engine, and what is made of its answers."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.adapters.wlm.scheduler import JobFacts, Phase, Scheduler
from smartsim.adapters.wlm.sge import Sge
from smartsim.domain.errors import LauncherError
from smartsim.domain.steps import Batch
from smartsim.ports.process_runner import Completed

RECORDED = Path(__file__).parent / "recorded"
SGE: Scheduler = Sge()


def batch(*directives: str, name: str = "ens-1", array: bool = False, stdout: str = "/exp/ens.out") -> Batch:
    shebang = "#!/bin/bash -l"
    return Batch(name, ("qsub",), directives, (), "/exp/ens.sh", "/exp/b", stdout, "/exp/e", shebang, array)


def recorded(name: str) -> Completed:
    return Completed(0, (RECORDED / name).read_text(), "")


def test_the_header_says_what_the_job_asks_for() -> None:
    assert SGE.header(batch("-pe mpi 8", "-l h_rt=36:00:00"), 1) == (
        "#!/bin/bash -l",
        "",
        "#$ -o /exp/ens.out",
        "#$ -e /exp/e",
        "#$ -N ens-1",
        "#$ -V",
        "#$ -S /bin/bash",
        "#$ -pe mpi 8",
        "#$ -l h_rt=36:00:00",
    )


def test_elements_of_an_array_are_counted_from_one_and_have_files_of_their_own() -> None:
    header = SGE.header(batch(array=True), 10)
    assert "#$ -t 1-10" in header
    assert "#$ -o /exp/ens.out.$TASK_ID" in header
    assert SGE.element_id("36", 0) == "36.1"


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1))
def test_every_path_is_one_word_or_refused(text: str) -> None:
    if any(character in text for character in "\"'#,:$"):
        with pytest.raises(LauncherError, match=re.escape(text)):
            SGE.header(batch(stdout=f"/{text}"), 1)
    else:
        line = SGE.header(batch(stdout=f"/{text}"), 1)[2]
        assert line.removeprefix("#$ -o ") == (f'"/{text}"' if " " in text else f"/{text}")


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1))
def test_every_name_becomes_one_that_grid_engine_takes(text: str) -> None:
    name = SGE.header(batch(name=text), 1)[4].removeprefix("#$ -N ")
    assert name.isascii()
    assert len(name.split()) == 1
    assert not name[0].isdigit()


@pytest.mark.parametrize(
    ("said", "job"),
    [
        ('Your job 17 ("hello") has been submitted\n', "17"),
        ('Your job-array 6.1-3:1 ("arr") has been submitted\n', "6"),
        ("18\n", "18"),
        ("6.1-3:1\n", "6"),
        ('a hook of the site says hello\nYour job 19 ("my (job)") has been submitted\n', "19"),
    ],
)
def test_a_job_is_known_by_its_number(said: str, job: str) -> None:
    assert SGE.job_id(Completed(0, said, "")) == job


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ('Unable to run job: Job was rejected because job requests unknown queue "nosuch.q"\nExiting.', "qconf -sql"),
        (
            'Unable to run job: job rejected: the requested parallel environment "nosuch" does not exist\nExiting.',
            "qconf -spl",
        ),
        ('Unable to run job: unknown resource "nosuch"\nExiting.', "qconf -sc"),
    ],
)
def test_a_refusal_says_what_grid_engine_said_and_what_to_do(said: str, advice: str) -> None:
    with pytest.raises(LauncherError) as caught:
        SGE.job_id(Completed(1, "", said))
    assert said in str(caught.value)
    assert advice in str(caught.value)


def test_the_queue_tells_where_jobs_and_elements_stand() -> None:
    facts = dict(SGE.facts(recorded("sge_qstat.txt"), ["25", "26", "27", "28", "99"]))
    stuck = facts.pop("26")
    assert facts == {
        "25.1": JobFacts(Phase.RUNNING),
        "25.2": JobFacts(Phase.RUNNING),
        "25.3": JobFacts(Phase.QUEUED),
        "25.4": JobFacts(Phase.QUEUED),
        "25.5": JobFacts(Phase.QUEUED),
        "25.6": JobFacts(Phase.QUEUED),
        "27": JobFacts(Phase.QUEUED),
        "28": JobFacts(Phase.SUSPENDED),
    }
    assert stuck.phase is Phase.QUEUED
    assert "qstat -j 26" in stuck.reason


def test_elements_that_wait_are_found_in_ranges_and_lists() -> None:
    row = (
        "     25 0.00000 a b  c     root         qw    11/22/2026 10:19:07                                    1 3,5-9:2"
    )
    assert set(SGE.facts(Completed(0, row, ""), ["25"])) == {"25.3", "25.5", "25.7", "25.9"}


@pytest.mark.parametrize(
    ("state", "phase"),
    [(state, Phase.RUNNING) for state in ("r", "t", "hr", "Rr", "Rt", "dr", "dt")]
    + [(state, Phase.QUEUED) for state in ("qw", "hqw", "Rq", "hRwq")]
    + [(state, Phase.SUSPENDED) for state in ("s", "ts", "S", "tS", "T", "tT", "Rs", "RS", "RtT")],
)
def test_states_are_told_apart(state: str, phase: Phase) -> None:
    row = f"     28 0.50000 susp       root         {state:5} 11/22/2026 10:19:07 all.q@node4          1        "
    assert SGE.facts(Completed(0, row, ""), ["28"]) == {"28": JobFacts(phase)}


def test_a_queue_that_does_not_answer_says_nothing_of_any_job() -> None:
    said = "error: commlib error: got select error (Connection refused)\nunable to contact qmaster"
    with pytest.raises(LauncherError, match="qconf -sh"):
        SGE.facts(Completed(1, "", said), ["1"])


def test_the_books_tell_how_jobs_and_elements_ended() -> None:
    facts = SGE.accounted(recorded("sge_qacct.txt"), ["25", "22", "28", "26"])
    assert facts["25.1"] == JobFacts(Phase.ENDED, 0)
    assert facts["25.2"] == JobFacts(Phase.ENDED, 0)
    assert facts["22"] == JobFacts(Phase.ENDED, -9, "time limit: the job ran longer than its h_rt")
    assert facts["28"] == JobFacts(Phase.ENDED, -9)
    assert facts["26"].returncode is None
    assert "opening input/output file" in facts["26"].reason


def test_a_job_that_is_not_in_the_books_yet_is_not_known() -> None:
    assert SGE.accounted(Completed(1, "", "error: job id 99999 not found"), ["99999"]) == {}


def test_of_the_records_of_a_parallel_job_the_last_is_its_own() -> None:
    line = "=" * 62
    record = "jobnumber    5\ntaskid       undefined\nfailed       0    \nexit_status  {}\n"
    text = f"{line}\n{record.format(1)}{line}\n{record.format(0)}"
    assert SGE.accounted(Completed(0, text, ""), ["5"]) == {"5": JobFacts(Phase.ENDED, 0)}


def test_records_that_say_that_they_are_of_a_task_are_not_the_jobs() -> None:
    text = (
        "jobnumber 5\npe_taskid 1.node2\nexit_status 0\n" + "=" * 62 + "\njobnumber 6\npe_taskid NONE\nexit_status 3\n"
    )
    assert SGE.accounted(Completed(0, text, ""), ["5", "6"]) == {"6": JobFacts(Phase.ENDED, 3)}


def test_a_limit_that_could_be_any_is_told_as_such() -> None:
    text = "jobnumber 5\nfailed 37 : limit\nexit_status 137 (Killed)\ncategory -l h_rt=3,h_vmem=1G -pe mpi 6\n"
    facts = SGE.accounted(Completed(0, text, ""), ["5"])["5"]
    assert "time or memory" in facts.reason
    memory = SGE.accounted(Completed(0, text.replace("h_rt=3,", ""), ""), ["5"])["5"]
    assert memory.reason.startswith("out of memory")


def test_jobs_and_elements_are_ended_by_one_command_which_is_not_polite() -> None:
    assert SGE.cancellation(["5", "6.2"], force=True) == ("qdel", "5", "6.2")
    assert SGE.cancellation(["5", "6.2"], force=False) == ()
