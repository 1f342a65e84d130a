"""What is asked of Slurm, and what its answers mean. The answers are those of Slurm 22.05.8."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.adapters.wlm.scheduler import JobFacts, Phase
from smartsim.adapters.wlm.slurm import NO_OUTPUT, Slurm, book_facts
from smartsim.adapters.wlm.srun import OUT_OF_MEMORY, aborted, ran_out_of_memory
from smartsim.domain.errors import LauncherError
from smartsim.domain.steps import Batch
from smartsim.ports.process_runner import Completed

SLURM = Slurm()
QUEUED, RUNNING, ENDED = JobFacts(Phase.QUEUED), JobFacts(Phase.RUNNING), JobFacts(Phase.ENDED)
SOMEBODY = JobFacts(Phase.ENDED, cancelled_by="somebody")


def batch(array: bool = False, path: str = "/x/b") -> Batch:
    directives = ("--nodes=2", "--constraint='a&b'")
    return Batch("b-CX1", ("sbatch",), directives, (), f"{path}.sh", "/d", f"{path}.out", f"{path}.err", array=array)


def said(text: str) -> Completed:
    return Completed(0, text, "")


def test_the_header_stands_as_users_know_it() -> None:
    assert list(SLURM.header(batch(), 3)) == [
        "#!/bin/bash",
        "",
        "#SBATCH --output=/x/b.out",
        "#SBATCH --error=/x/b.err",
        "#SBATCH --job-name=b-CX1",
        "#SBATCH --no-requeue",
        "#SBATCH --nodes=2",
        "#SBATCH --constraint='a&b'",
    ]


def test_the_elements_of_an_array_are_counted_from_0() -> None:
    lines = SLURM.header(batch(array=True), 6)
    assert "#SBATCH --array=0-5" in lines
    assert "#SBATCH --open-mode=append" in lines
    assert [SLURM.element_id("12", index) for index in (0, 5)] == ["12_0", "12_5"]
    assert SLURM.first_element == 0


@given(st.text(st.characters(exclude_characters="\0\n\r\\", exclude_categories=["Cs"]), min_size=1))
def test_a_path_is_one_word_in_which_slurm_replaces_nothing(name: str) -> None:
    line = SLURM.header(batch(path=f"/x/{name}"), 1)[2].removeprefix("#SBATCH ")
    (word,) = shlex.split(line)
    assert word.removeprefix("--output=").replace("%%", "").count("%") == 0
    assert word.removeprefix("--output=").replace("%%", "%") == f"/x/{name}.out"


def test_a_path_from_which_slurm_would_leave_something_out_is_refused() -> None:
    with pytest.raises(LauncherError, match=r"/x/a\\b\.out.*Choose another"):
        SLURM.header(batch(path="/x/a\\b"), 1)


def test_commands_ask_for_all_jobs_at_once() -> None:
    assert SLURM.submission(batch(), 1) == ("sbatch", "--parsable", "/x/b.sh")
    assert SLURM.query(["10", "12"])[-1] == "--jobs=10,12"
    assert [command[-1] for command in SLURM.accounting(["10", "12"])] == ["--jobs=10,12"]
    assert SLURM.cancellation(["10", "12_3"], force=False) == ("scancel", "10", "12_3")
    assert SLURM.cancellation(["10"], force=True) == ("scancel", "--signal=KILL", "--full", "10")


@pytest.mark.parametrize(
    ("text", "job"),
    [("10\n", "10"), ("10;cluster\n", "10"), ("this site says: be kind\n10\n", "10")],
)
def test_the_number_of_a_job_is_found(text: str, job: str) -> None:
    assert SLURM.job_id(said(text)) == job


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("sbatch: error: invalid partition specified: nosuch", "--partition"),
        ("Batch job submission failed: Invalid account or account/partition combination specified", "--account"),
        ("Batch job submission failed: Invalid qos specification", "--qos"),
        ("Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)", "--time"),
        (
            "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
            "limit of the account",
        ),
        ("Batch job submission failed: Requested node configuration is not available", "--ntasks"),
        ("Batch job submission failed: Job dependency problem", "--dependency"),
        ("Batch job submission failed: Invalid license specification", "--licenses"),
        ("Batch job submission failed: Unable to contact slurm controller (connect failure)", "scontrol ping"),
        ("sbatch: fatal: Could not establish a configuration source", "SLURM_CONF"),
        ("sbatch: error: lua: this site wants a project", ""),
    ],
)
def test_a_refusal_has_the_words_of_slurm_and_what_to_do(words: str, advice: str) -> None:
    with pytest.raises(LauncherError) as caught:
        SLURM.job_id(Completed(1, "", words))
    assert words in str(caught.value)
    assert advice in str(caught.value)


def test_an_answer_without_a_number_is_a_refusal() -> None:
    with pytest.raises(LauncherError, match="it said nothing"):
        SLURM.job_id(said(""))


def test_the_queue_tells_of_jobs_and_elements() -> None:
    text = (
        "10|RUNNING|None\n"
        "11|PENDING|Resources\n"
        "12_0|COMPLETED|None\n"
        "12_1|FAILED|NonZeroExitCode\n"
        "12_4|RUNNING|None\n"
        "13|PENDING|(ReqNodeNotAvail, UnavailableNodes:node3|x)\n"
        "14+0|RUNNING|None\n"
        "14+1|RUNNING|None\n"
        "15|CANCELLED|None\n"
        "16|COMPLETING|None\n"
        "17|SUSPENDED|None\n"
        "18|NODE_FAIL|NodeDown\n"
    )
    assert SLURM.facts(said(text), ["10"]) == {
        "10": RUNNING,
        "11": QUEUED,
        "12_0": JobFacts(Phase.ENDED, 0),
        "12_1": ENDED,
        "12_4": RUNNING,
        "13": QUEUED,
        "14": RUNNING,
        "14+1": RUNNING,
        "15": SOMEBODY,
        "16": RUNNING,
        "17": JobFacts(Phase.SUSPENDED),
        "18": JobFacts(Phase.ENDED, reason="node failure: a node of the job failed"),
    }


def test_a_single_job_that_the_queue_does_not_know_is_missing() -> None:
    assert SLURM.facts(Completed(1, "", "slurm_load_jobs error: Invalid job id specified"), ["9"]) == {}


def test_a_queue_that_does_not_answer_says_nothing() -> None:
    words = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
    with pytest.raises(LauncherError, match="Unable to contact slurm controller"):
        SLURM.facts(Completed(1, "", words), ["9"])


@pytest.mark.parametrize(
    "reason",
    [
        "DependencyNeverSatisfied",
        "BadConstraints",
        "JobHeldUser",
        "launch failed requeued held",
        "(launch_failed_requeued_held)",
        "QOSMaxWallDurationPerJobLimit",
        "PartitionTimeLimit",
    ],
)
def test_a_job_that_will_not_start_by_itself_says_why(reason: str) -> None:
    facts = SLURM.facts(said(f"10|PENDING|{reason}\n"), ["10"])["10"]
    assert facts.phase is Phase.QUEUED
    assert reason in facts.reason


@pytest.mark.parametrize(
    "reason", ["None", "Resources", "Priority", "BeginTime", "Dependency", "Nodes required for job are DOWN, DRAINED"]
)
def test_a_job_whose_turn_comes_says_nothing(reason: str) -> None:
    assert SLURM.facts(said(f"10|PENDING|{reason}\n"), ["10"]) == {"10": QUEUED}


@pytest.mark.parametrize(
    ("state", "code", "facts"),
    [
        ("COMPLETED", "0:0", JobFacts(Phase.ENDED, 0)),
        ("FAILED", "7:0", JobFacts(Phase.ENDED, 7)),
        ("FAILED", "0:15", JobFacts(Phase.ENDED, -15)),
        ("FAILED", "137:0", JobFacts(Phase.ENDED, -9)),
        ("CANCELLED by 0", "0:0", JobFacts(Phase.ENDED, cancelled_by="root")),
        ("CANCELLED by 0", "0:9", JobFacts(Phase.ENDED, -9, cancelled_by="root")),
        ("CANCELLED by 987654", "0:0", JobFacts(Phase.ENDED, cancelled_by="user 987654")),
        ("CANCELLED", "", SOMEBODY),
        ("CANCELLED+", "0:0", SOMEBODY),
        ("FAILED", "0:53", JobFacts(Phase.ENDED, reason=NO_OUTPUT)),
        ("TIMEOUT", "0:0", JobFacts(Phase.ENDED, reason="time limit: the job ran longer than it was given")),
        ("OUT_OF_MEMORY", "0:125", JobFacts(Phase.ENDED, reason=OUT_OF_MEMORY)),
        ("RUNNING", "0:0", RUNNING),
        ("PENDING", "0:0", QUEUED),
        ("REQUEUED", "0:0", QUEUED),
        ("SOMETHING_NEW", "0:0", RUNNING),
    ],
)
def test_the_books_tell_how_a_job_ended(state: str, code: str, facts: JobFacts) -> None:
    assert book_facts(state, code) == facts
    assert SLURM.accounted(said(f"10|{state}|{code}\n"), ["10"]) == {"10": facts}


def test_books_that_nobody_keeps_say_nothing() -> None:
    with pytest.raises(LauncherError, match="accounting storage is disabled"):
        SLURM.accounted(Completed(1, "", "Slurm accounting storage is disabled"), ["10"])


@given(st.text(), st.sampled_from([SLURM.facts, SLURM.accounted]))
def test_no_answer_makes_a_job_end_well_that_did_not_say_so(text: str, read: object) -> None:
    assert callable(read)
    for facts in read(said(text), ["10"]).values():
        assert facts.returncode != 0 or "COMPLETED" in text


@pytest.mark.parametrize(
    ("written", "gave_up", "no_memory"),
    [
        (b"srun: error: Node failure on node4\nsrun: Job step aborted: Waiting up to 4 seconds\n", True, False),
        (b"the solver: Node failure of the tree\n", False, False),
        (b"slurmstepd-node1: error: StepId=2.0 exceeded memory limit (431 > 104), being killed\n", False, True),
        (b"srun: Exceeded job memory limit\n", False, True),
        (b"slurmstepd: error: Detected 1 oom_kill event in StepId=5.batch. Some of the step tasks\n", False, True),
        (b"the solver is out of memory\n", False, False),
        (b"", False, False),
    ],
)
def test_words_on_standard_error_are_understood(written: bytes, gave_up: bool, no_memory: bool) -> None:
    assert aborted(written) is gave_up
    assert ran_out_of_memory(written) is no_memory
