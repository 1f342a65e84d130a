"""What is said to Flux, and what is made of its answers."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import directive_readers as read
from smartsim.adapters.wlm.flux import Flux
from smartsim.adapters.wlm.scheduler import JobFacts, Phase, Scheduler
from smartsim.domain.errors import LauncherError
from smartsim.domain.steps import Batch
from smartsim.ports.process_runner import Completed

RECORDED = Path(__file__).parent / "recorded"
FLUX: Scheduler = Flux()


def batch(*directives: str, name: str = "ens-1", out: str = "/exp/ens.out") -> Batch:
    return Batch(name, ("flux",), directives, (), "/exp/ens.sh", "/exp/b", out, "/exp/e")


def recorded(name: str, returncode: int = 0, stderr: str = "") -> Completed:
    return Completed(returncode, (RECORDED / name).read_text(), stderr)


def test_the_header_says_what_the_job_asks_for() -> None:
    job = batch("--nodes=2", "--time-limit=90m")
    assert FLUX.header(job, 1) == (
        "#!/bin/bash",
        "",
        "#flux: --output=/exp/ens.out",
        "#flux: --error=/exp/e",
        "#flux: --job-name=ens-1",
        "#flux: --nodes=2",
        "#flux: --time-limit=90m",
    )
    assert FLUX.submission(job, 1) == ("flux", "batch", "/exp/ens.sh")


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1))
def test_every_path_is_one_word_or_refused_and_every_name_is_one(text: str) -> None:
    if "{{" in text:
        with pytest.raises(LauncherError, match=re.escape(text)):
            FLUX.header(batch(out=f"/{text}"), 1)
        return
    lines = [line.removeprefix("#flux: ") for line in FLUX.header(batch(name=text, out=f"/{text}"), 1)]
    assert read.flux(lines[2]) == [f"--output=/{text}"]
    assert read.flux(lines[4]) == [f"--job-name={text}"]


@pytest.mark.parametrize("said", ["ƒ2QHVd9Z\n", "f2QHVd9Z\n", "a plugin of the site says hello\nƒ2QHVd9Z\n"])
def test_a_job_is_known_by_what_flux_batch_prints_last(said: str) -> None:
    assert FLUX.job_id(Completed(0, said, "")) == "f2QHVd9Z"


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("unsatisfiable request: need 99 exclusive node(s), only 4 eligible", "flux resource list"),
        ("flux-batch: ERROR: Invalid queue 'nosuch' specified", "flux queue list"),
        ("flux-batch: ERROR: Number of slots to allocate must be specified", "set_nodes"),
        ("flux-batch: ERROR: requested duration exceeds policy limit of 1h for queue pdebug", "less time"),
        ("flux-batch: ERROR: Unable to connect to Flux: broker socket /run/flux/local was not found", "flux uptime"),
        ("flux-batch: error: unrecognized arguments: --nosuch", "option named"),
    ],
)
def test_a_refusal_tells_what_flux_said_and_what_to_do(said: str, advice: str) -> None:
    with pytest.raises(LauncherError) as refused:
        FLUX.job_id(Completed(1, "", f"{said}\n"))
    assert said in str(refused.value)
    assert advice in str(refused.value)


def test_a_path_that_flux_would_expand_is_refused() -> None:
    with pytest.raises(LauncherError, match="a{{id}}"):
        FLUX.header(batch(out="/exp/a{{id}}.out"), 1)


def test_there_are_no_arrays() -> None:
    with pytest.raises(LauncherError, match="no job arrays"):
        FLUX.element_id("f2QHVd9Z", 0)


def test_one_command_asks_after_all_jobs() -> None:
    assert FLUX.query(["f1", "f2"]) == ("flux", "jobs", "--json", "f1", "f2")
    assert FLUX.accounting({"f1": "/exp/b", "f2": "/exp/c"}) == (FLUX.query(["f1", "f2"]),)


def test_one_job_is_told_of_as_such() -> None:
    assert FLUX.facts(recorded("flux_job.txt"), []) == {"f2QHVd9Z": JobFacts(Phase.RUNNING)}


@pytest.mark.parametrize(
    ("job", "facts"),
    [
        ("f2tddtfy", JobFacts(Phase.ENDED, 4)),
        ("f2QHVd9Z", JobFacts(Phase.ENDED, -15, cancelled_by="somebody")),
        ("fr6yDMR", JobFacts(Phase.ENDED, -14, "time limit: the job ran longer than its --time-limit")),
        ("febpnYF", JobFacts(Phase.ENDED, 0)),
        ("ffA11111", JobFacts(Phase.QUEUED)),
        ("ffA33333", JobFacts(Phase.QUEUED)),
        ("ffA44444", JobFacts(Phase.RUNNING)),
        ("ffA55555", JobFacts(Phase.ENDED, None, cancelled_by="somebody")),
        ("ffA66666", JobFacts(Phase.ENDED, -9, "node failure: lost contact with broker 3")),
        ("ffA77777", JobFacts(Phase.ENDED, 5)),  # a warning does not end a job
    ],
)
def test_several_jobs_are_told_of_in_a_list(job: str, facts: JobFacts) -> None:
    assert FLUX.facts(recorded("flux_jobs.txt"), [])[job] == facts


def test_a_job_that_flux_could_not_run_says_why() -> None:
    facts = FLUX.facts(recorded("flux_jobs.txt"), [])
    assert facts["f2M1jD5R"].returncode is None
    assert "need 99 exclusive node(s), only 4 eligible" in facts["f2M1jD5R"].reason
    assert "/no/such: No such file" in facts["fnM32vj"].reason


def test_a_held_job_says_how_it_is_released() -> None:
    held = FLUX.facts(recorded("flux_jobs.txt"), [])["ffA22222"]
    assert held.phase is Phase.QUEUED
    assert "flux job urgency ffA22222 default" in held.reason


def test_jobs_that_the_instance_has_forgotten_are_missing() -> None:
    assert FLUX.facts(Completed(1, "", "JobID f1 unknown\n"), ["f1"]) == {}
    assert FLUX.facts(Completed(1, '{"jobs": []}\n', "JobID f1 unknown\nJobID f2 unknown\n"), ["f1", "f2"]) == {}


@pytest.mark.parametrize(
    "said", ["flux-jobs: ERROR: Unable to connect to Flux: ENOENT", "flux-jobs: ERROR: unknown host", ""]
)
def test_an_instance_that_does_not_answer_says_nothing_of_any_job(said: str) -> None:
    with pytest.raises(LauncherError, match="Flux did not answer"):
        FLUX.facts(Completed(1, "", said), ["f1"])


def test_jobs_are_ended_by_one_command_which_is_not_polite() -> None:
    assert FLUX.cancellation(["f1", "f2"], force=True) == ("flux", "cancel", "f1", "f2")
    assert FLUX.cancellation(["f1", "f2"], force=False) == ()
