"""Whole experiments on fakes only: no processes, no files, no server, and virtual time."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Collection, Sequence
from typing import cast

import pytest

from smartsim import Experiment
from smartsim.embedding import Adapters, Report, Step
from smartsim.error import EntityExistsError, LauncherError, SmartSimError, SSDBIDConflictError, SSUnsupportedError
from smartsim.settings import RunSettings
from smartsim.status import SmartSimStatus
from smartsim.testing import InMemoryFileSystem, Script, ScriptedWorkloadManager, fake_adapters

DEADLINE = 30.0
COMPLETED, FAILED = SmartSimStatus.STATUS_COMPLETED, SmartSimStatus.STATUS_FAILED
CANCELLED, RUNNING = SmartSimStatus.STATUS_CANCELLED, SmartSimStatus.STATUS_RUNNING
NEVER_STARTED, QUEUED = SmartSimStatus.STATUS_NEVER_STARTED, SmartSimStatus.STATUS_QUEUED


def experiment(adapters: Adapters) -> Experiment:
    return Experiment("study", "/virtual", adapters=adapters)


def submitted(adapters: Adapters) -> Sequence[Step]:
    return cast("ScriptedWorkloadManager", adapters.workload_manager).submitted


def events(adapters: Adapters, entity: str) -> list[str]:
    return [str(record["event"]) for record in adapters.event_log.replay() if record.get("entity") == entity]


def test_a_whole_experiment_passes_in_virtual_time() -> None:
    begin = time.perf_counter()
    adapters = fake_adapters(lambda step: Script(duration=3600.0, returncode=int(step.name.startswith("sweep_1"))))
    adapters.files.write("/virtual/in.txt", b"x = ;x;\n", 0o755)
    exp = experiment(adapters)
    database = exp.create_database(port=0)
    ensemble = exp.create_ensemble("sweep", params={"x": [1, 2, 3]}, run_settings=exp.create_run_settings("solver"))
    ensemble.attach_generator_files(to_configure="/virtual/in.txt")

    exp.generate(database, ensemble)
    assert adapters.files.read("/virtual/sweep/sweep_2/in.txt") == b"x = 3\n"
    exp.start(database, block=False)
    (address,) = database.get_address()
    exp.start(ensemble, block=True)

    assert exp.get_status(ensemble, database) == [COMPLETED, FAILED, COMPLETED, RUNNING]
    assert submitted(adapters)[1].environment["SSDB"] == address
    assert [step.environment["SSKEYOUT"] for step in submitted(adapters)[1:]] == ["sweep_0", "sweep_1", "sweep_2"]
    exp.stop(database)
    assert exp.get_status(database) == [CANCELLED]
    assert events(adapters, "sweep_1") == ["submitted", "started", "ended"]
    assert adapters.clock.monotonic() >= 3600.0
    assert time.perf_counter() - begin < 30.0  # of real time, for an hour of virtual time


def test_statuses_come_in_the_order_of_the_arguments() -> None:
    exp = experiment(fake_adapters(lambda step: Script(returncode=int(step.name.startswith("bad")))))
    settings = exp.create_run_settings("solver")
    good, bad = exp.create_model("good", settings), exp.create_model("bad", settings)
    ensemble = exp.create_ensemble("both", run_settings=settings, replicas=2)
    exp.start(good, bad)
    assert exp.get_status(ensemble, bad, good) == [NEVER_STARTED, NEVER_STARTED, FAILED, COMPLETED]
    assert exp.get_status() == []


def test_an_end_that_cannot_be_told_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise FileNotFoundError("somebody has removed its files")

    monkeypatch.setattr("smartsim.app.experiment.announce_end", fail)
    exp = experiment(fake_adapters(lambda step: Script(duration=float(step.name.startswith("b")))))
    models = [exp.create_model(name, exp.create_run_settings("solver")) for name in ("a", "b")]
    exp.start(*models)
    assert exp.get_status(*models) == [COMPLETED, COMPLETED]
    assert "somebody has removed its files" in capsys.readouterr().out


def test_a_queued_job_is_queued() -> None:
    exp = experiment(fake_adapters(lambda _: Script(queued_for=60.0)))
    model = exp.create_model("m", exp.create_run_settings("solver"))
    exp.start(model, block=False)
    assert exp.get_status(model) == [QUEUED]
    assert exp.wait(model) == [COMPLETED]


def test_a_wait_has_a_deadline_and_says_what_it_waited_for() -> None:
    exp = experiment(fake_adapters(lambda _: Script(duration=100.0)))
    model = exp.create_model("slow", exp.create_run_settings("solver"))
    exp.start(model, block=False)
    with pytest.raises(TimeoutError, match=r"slow"):
        exp.wait(model, timeout=99.0)
    assert not exp.finished(model)
    assert exp.wait(timeout=2.0) == []
    assert exp.finished(model)


def test_a_stop_waits_for_the_stubborn() -> None:
    adapters = fake_adapters(lambda _: Script(duration=None, heeds_sigterm=False))
    exp = experiment(adapters)
    model = exp.create_model("m", exp.create_run_settings("solver"))
    exp.start(model, block=False)
    exp.stop(model, grace=7.0)
    assert exp.get_status(model) == [CANCELLED]
    assert adapters.clock.monotonic() == pytest.approx(7.0)
    assert "-9" in exp.summary()
    exp.stop(model)  # what ended is left alone


def test_leaving_the_context_stops_everything() -> None:
    exp = experiment(fake_adapters(lambda _: Script(duration=None)))
    settings = exp.create_run_settings("solver")
    with exp:
        database, model = exp.create_database(port=0), exp.create_model("m", settings)
        exp.start(database, model, block=False)
        assert exp.get_status(database, model) == [RUNNING, RUNNING]
    assert exp.get_status(database, model) == [CANCELLED, CANCELLED]


def test_a_launch_that_fails_half_way_leaves_nothing_running() -> None:
    def script(step: Step) -> Script:
        if step.name.startswith("e_2"):
            return Script(refusal=LauncherError("no such program"))
        return Script(duration=None)

    adapters = fake_adapters(script)
    exp = experiment(adapters)
    database = exp.create_database(port=0)
    ensemble = exp.create_ensemble("e", run_settings=exp.create_run_settings("solver"), replicas=4)
    with pytest.raises(SmartSimError, match="no such program"):
        exp.start(ensemble, database)
    assert exp.get_status(ensemble) == [CANCELLED, CANCELLED, FAILED, NEVER_STARTED]
    assert exp.get_status(database) == [CANCELLED]
    with pytest.raises(SmartSimError, match="not active"):
        database.set_max_memory("1gb")


def test_a_database_that_ends_at_once_is_an_error_with_its_reason() -> None:
    adapters = fake_adapters()
    manager = cast("ScriptedWorkloadManager", adapters.workload_manager)
    manager._script = lambda _: Script(duration=0.0, returncode=1)
    exp = experiment(adapters)
    database = exp.create_database(port=0)
    with pytest.raises(SmartSimError, match=r"failed during startup.*exit code 1"):
        exp.start(database)


def test_a_completed_entity_may_run_again_and_a_running_one_not() -> None:
    exp = experiment(fake_adapters())
    model = exp.create_model("m", exp.create_run_settings("solver"))
    exp.start(model)
    exp.start(model, block=False)
    with pytest.raises(SSUnsupportedError, match="duplicate names.*'m' is running"):
        exp.start(model)
    exp.poll(interval=60.0)
    assert [line.split("|")[5].strip() for line in exp.summary().splitlines()[2:]] == ["0", "1"]


def test_a_launch_that_fails_gives_back_the_runs_before_it() -> None:
    refused = False

    def script(step: Step) -> Script:
        return Script(refusal=LauncherError("no") if refused and step.name.startswith("first") else None)

    exp = experiment(fake_adapters(script))
    settings = exp.create_run_settings("solver")
    first, second = exp.create_model("first", settings), exp.create_model("second", settings)
    exp.start(first, second)
    exp.start(second)
    refused = True
    with pytest.raises(SmartSimError):
        exp.start(first, second)
    refused = False
    assert exp.get_status(first, second) == [FAILED, COMPLETED]
    exp.start(second)
    runs = [row.split("|")[5].strip() for row in exp.summary().splitlines() if "second" in row]
    assert runs == ["0", "1", "2"]


def test_settings_of_an_entity_are_its_own() -> None:
    adapters = fake_adapters()
    exp = experiment(adapters)
    settings = exp.create_run_settings("solver", env_vars={"A": "1"})
    first = exp.create_model("first", settings, enable_key_prefixing=True)
    settings.update_env({"A": "2"})
    second = exp.create_model("second", settings)
    exp.start(first, second)
    assert [dict(step.environment) for step in submitted(adapters)] == [{"A": "1", "SSKEYOUT": "first"}, {"A": "2"}]
    assert first.run_settings.env_vars == {"A": "1"}


def test_addresses_of_a_stopped_database_do_not_leak_into_later_starts() -> None:
    adapters = fake_adapters()
    exp = experiment(adapters)
    database, model = exp.create_database(port=0), exp.create_model("m", exp.create_run_settings("solver"))
    exp.start(database, model)
    exp.stop(database)
    exp.start(model)
    _, first, second = submitted(adapters)
    assert "SSDB" in first.environment
    assert "SSDB" not in second.environment


def test_databases_on_any_free_port_get_different_ones() -> None:
    exp = experiment(fake_adapters())
    one, two = exp.create_database(port=0), exp.create_database(port=0, db_identifier="two")
    exp.start(one, two)
    assert one.get_address() != two.get_address()


def test_what_was_not_tried_is_recorded_as_withdrawn() -> None:
    adapters = fake_adapters(lambda step: Script(refusal=LauncherError("no") if step.name.startswith("e_0") else None))
    exp = experiment(adapters)
    ensemble = exp.create_ensemble("e", run_settings=exp.create_run_settings("solver"), replicas=2)
    with pytest.raises(SmartSimError):
        exp.start(ensemble)
    assert events(adapters, "e_0") == ["submitted", "refused"]
    assert events(adapters, "e_1") == ["submitted", "withdrawn"]


def test_after_a_ctrl_c_no_further_job_is_submitted() -> None:
    adapters = fake_adapters(lambda _: Script(duration=None))
    manager = cast("ScriptedWorkloadManager", adapters.workload_manager)
    submit, stop, is_stopped = manager.submit, manager.stop, threading.Event()

    def submit_during_ctrl_c(steps: Sequence[Step], report: Report) -> None:
        submit(steps, report)
        os.kill(os.getpid(), signal.SIGINT)
        assert is_stopped.wait(DEADLINE)

    def stop_and_say_so(names: Collection[str], grace: float) -> None:
        stop(names, grace)
        is_stopped.set()

    manager.submit, manager.stop = submit_during_ctrl_c, stop_and_say_so  # type: ignore[method-assign]
    exp = Experiment("study", "/virtual", "slurm", adapters=adapters)
    settings = RunSettings("true")
    batch = exp.create_batch_settings()
    models = [exp.create_model(f"m{number}", settings, batch_settings=batch) for number in range(3)]
    with pytest.raises(KeyboardInterrupt):
        exp.start(*models)
    assert [step.name[:2] for step in submitted(adapters)] == ["m0"]
    assert exp.get_status(*models) == [CANCELLED] * 3
    assert events(adapters, "m1") == ["submitted", "stop_requested", "ended"]


def test_several_databases_are_told_apart_by_suffixes() -> None:
    adapters = fake_adapters()
    exp = experiment(adapters)
    one, two = exp.create_database(port=7001), exp.create_database(port=7002, db_identifier="two")
    model = exp.create_model("m", exp.create_run_settings("solver"))
    exp.start(model, two, one)
    environment = submitted(adapters)[-1].environment
    assert (environment["SSDB"], environment["SSDB_two"]) == ("127.0.0.1:7001", "127.0.0.1:7002")


def test_entities_of_another_experiment_are_refused() -> None:
    adapters = fake_adapters()
    adapters.files.make_directory("/virtual/other")
    mine = experiment(adapters)
    other = Experiment("other", "/virtual/other", adapters=fake_adapters())
    model = other.create_model("m", other.create_run_settings("solver"))
    for call in (mine.start, mine.generate, mine.stop):
        with pytest.raises(SmartSimError, match=r"m belongs to the experiment in /virtual/other"):
            call(model)


def test_asking_about_what_was_never_launched() -> None:
    exp = experiment(fake_adapters())
    model = exp.create_model("m", exp.create_run_settings("solver"))
    for call in (exp.finished, exp.stop, exp.wait):
        with pytest.raises(ValueError, match="Entity m has not been launched in this experiment"):
            call(model)
    with pytest.raises(TypeError, match="Orchestrator"):
        exp.finished(exp.create_database(port=0))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="'m'"):
        exp.start("m")  # type: ignore[arg-type]


def test_names_are_unique() -> None:
    exp = experiment(fake_adapters())
    settings = exp.create_run_settings("solver")
    one, twin = exp.create_model("m", settings), exp.create_model("m", settings)
    with pytest.raises(SmartSimError, match="same name: 'm'"):
        exp.start(one, twin)
    exp.start(one)
    with pytest.raises(SSUnsupportedError, match="duplicate names"):
        exp.start(twin)


def test_a_rank_is_told_of_its_colocated_database() -> None:
    adapters = fake_adapters()
    exp = experiment(adapters)
    model = exp.create_model("m", exp.create_run_settings("solver", "--fast", run_command="start-ranks"))
    model.colocate_db_tcp(
        port=6780,
        ifname="hsn0",
        db_cpus=2,
        db_identifier="near",
        debug=True,
        intra_op_threads=3,
        maxmemory_policy="noeviction",
    )
    database = exp.create_database(port=0)
    exp.start(database, model)
    step = submitted(adapters)[1]
    place = step.argv.index("--")
    assert step.launch == ("/bin/start-ranks",)
    assert step.argv[: place - 1] == (sys.executable, "-P", "-m", "smartsim.app.colocated")
    assert step.argv[place + 1 :] == ("/bin/solver", "--fast")
    assert step.environment["SSDB"] == database.get_address()[0]
    # The address of the other one is its node's to say.
    assert (step.environment.get("SSDB_near"), step.environment["SR_DB_TYPE_near"]) == (None, "Standalone")
    assert step.environment["SMARTSIM_LOG_LEVEL"] == "debug"
    found = json.loads(adapters.files.read(step.argv[place - 1]))
    assert (found["port"], found["interfaces"], found["cpus"], found["pinning"]) == (6780, ["hsn0"], 2, None)
    assert found["arguments"] == ["--loglevel", "debug", "--maxmemory-policy", "noeviction"]
    assert found["log"] == "/virtual/m/m-db.log"
    assert found["ranks"] is None
    for name in (found["password_file"], step.argv[place - 1]):
        entry = adapters.files.inspect(name)
        assert entry is not None
        assert entry.mode == 0o600


@pytest.mark.parametrize(
    ("colocated", "standard"), [("", "orchestrator"), ("orchestrator", "orchestrator"), ("a", "a")]
)
def test_databases_of_one_application_have_different_identifiers(colocated: str, standard: str) -> None:
    adapters = fake_adapters()
    exp = experiment(adapters)
    model = exp.create_model("m", exp.create_run_settings("solver"))
    model.colocate_db_tcp(db_identifier=colocated)
    database = exp.create_database(port=0, db_identifier=standard)
    with pytest.raises(SSDBIDConflictError, match=f"'{standard}' has already been used"):
        exp.start(database, model)
    assert submitted(adapters) == []
    exp.start(database)
    with pytest.raises(SSDBIDConflictError, match=f"'{standard}' has already been used"):
        exp.start(model)


def test_a_record_that_cannot_be_kept_does_not_stop_anything(capsys: pytest.CaptureFixture[str]) -> None:
    from dataclasses import replace

    from smartsim.adapters.eventlog.jsonl import JsonlEventLog

    adapters = replace(fake_adapters(), event_log=JsonlEventLog("/dev/null/events.jsonl"))
    exp = experiment(adapters)
    model = exp.create_model("m", exp.create_run_settings("solver"))
    exp.start(model)
    assert exp.get_status(model) == [COMPLETED]
    assert capsys.readouterr().out.count("not recorded") == 1


def test_telemetry_can_be_switched_off() -> None:
    adapters = fake_adapters()
    exp = experiment(adapters)
    exp.telemetry.disable()
    assert not exp.telemetry.is_enabled
    exp.start(exp.create_model("m", exp.create_run_settings("solver")))
    assert list(adapters.event_log.replay()) == []


def test_a_second_generation_is_refused_and_leaves_the_first() -> None:
    adapters = fake_adapters()
    exp = experiment(adapters)
    model = exp.create_model("m", exp.create_run_settings("solver"))
    exp.generate(model)
    adapters.files.write("/virtual/m/result", b"precious")
    with pytest.raises(EntityExistsError, match=r"m already exists in path /virtual/m"):
        exp.generate(model)
    assert adapters.files.read("/virtual/m/result") == b"precious"
    exp.generate(model, overwrite=True)
    assert adapters.files.inspect("/virtual/m/result") is None


def test_a_generation_that_fails_half_way_is_taken_back() -> None:
    from dataclasses import replace

    class FullDisk(InMemoryFileSystem):
        def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
            if path.endswith("e_2/in.txt"):
                raise OSError(28, "No space left on device", path)
            super().write(path, content, mode)

    files = FullDisk(["/virtual"])
    files.write("/virtual/in.txt", b"x = ;x;")
    exp = experiment(replace(fake_adapters(), files=files))
    ensemble = exp.create_ensemble("e", params={"x": [1, 2, 3]}, run_settings=exp.create_run_settings("solver"))
    ensemble.attach_generator_files(to_configure=["/virtual/in.txt"])
    with pytest.raises(SmartSimError, match=r"e_2/in.txt: No space left"):
        exp.generate(ensemble)
    assert list(files.walk("/virtual")) == ["in.txt"]
