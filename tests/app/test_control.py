"""Stopping and restarting from outside, on fakes."""

import gc
import os
import socket
import threading
import weakref
from dataclasses import replace
from typing import cast

import pytest

from smartsim import Experiment
from smartsim.app.remote_control import RemoteControl, user_here
from smartsim.domain.history import History
from smartsim.embedding import Adapters, Step
from smartsim.entity import Ensemble
from smartsim.error import SmartSimError
from smartsim.ports.control_channel import Address, Answer, Listener
from smartsim.status import SmartSimStatus
from smartsim.testing import InMemoryControlChannel, Script, ScriptedWorkloadManager, VirtualClock, fake_adapters

DEADLINE = 30.0
COMPLETED, FAILED = SmartSimStatus.STATUS_COMPLETED, SmartSimStatus.STATUS_FAILED
CANCELLED, RUNNING = SmartSimStatus.STATUS_CANCELLED, SmartSimStatus.STATUS_RUNNING
ADA = "ada@nid0001 with smart watch"


def endless() -> Adapters:
    """Everything runs until it is stopped."""
    return fake_adapters(lambda _: Script(duration=None))


def experiment(adapters: Adapters) -> Experiment:
    return Experiment("study", "/virtual", adapters=adapters)


def running(adapters: Adapters, *, members: int = 3) -> tuple[Experiment, Ensemble]:
    exp = experiment(adapters)
    ensemble = exp.create_ensemble("e", run_settings=exp.create_run_settings("solver"), replicas=members)
    exp.start(ensemble, block=False)
    return exp, ensemble


def recorded(adapters: Adapters) -> History:
    return History.of(adapters.event_log.replay())


def remote(adapters: Adapters) -> RemoteControl:
    return RemoteControl("/virtual", recorded(adapters), adapters.control)


def test_a_member_is_stopped_and_the_record_says_by_whom() -> None:
    adapters = endless()
    exp, ensemble = running(adapters)
    assert remote(adapters).stop("e_1", by=ADA) == "e_1 was stopped"
    assert exp.get_status(ensemble) == [RUNNING, CANCELLED, RUNNING]
    stopped = [event for event in adapters.event_log.replay() if event.get("entity") == "e_1"][2:]
    assert [(event["event"], event.get("by") or event.get("stopped_by")) for event in stopped] == [
        ("stop_requested", ADA),
        ("ended", ADA),
    ]
    assert recorded(adapters).entities["e_1"][-1].reason == f"stopped by {ADA}"


def test_an_ensemble_is_stopped_as_a_whole_but_for_what_ended() -> None:
    adapters = endless()
    exp, ensemble = running(adapters)
    exp.stop(ensemble.models[0])
    assert remote(adapters).stop("e", by=ADA) == "e was stopped, 2 jobs"
    assert exp.get_status(ensemble) == [CANCELLED] * 3
    jobs = recorded(adapters).entities
    assert [jobs[f"e_{number}"][-1].stopped_by for number in range(3)] == ["the user", ADA, ADA]


def test_a_database_is_stopped_as_a_whole() -> None:
    adapters = endless()
    exp = experiment(adapters)
    database = exp.create_database(port=0, db_nodes=3, db_identifier="grid")
    exp.start(database)
    with pytest.raises(SmartSimError, match="grid_1 is one of the servers of grid, which end and begin together"):
        remote(adapters).stop("grid_1", by=ADA)
    remote(adapters).stop("grid", by=ADA)
    assert exp.get_status(database) == [CANCELLED] * 3
    assert not database.is_active()
    assert {jobs[-1].stopped_by for jobs in recorded(adapters).entities.values()} == {ADA}
    remote(adapters).restart("grid", by=ADA)
    assert exp.get_status(database) == [RUNNING] * 3
    assert database.is_active()


def test_the_server_of_a_database_stands_for_it_when_it_is_alone() -> None:
    adapters = endless()
    exp = experiment(adapters)
    database = exp.create_database(port=0)
    exp.start(database)
    remote(adapters).stop(database.entities[0].name, by=ADA)
    assert exp.get_status(database) == [CANCELLED]


def test_a_member_alone_is_restarted_as_it_was() -> None:
    tries: list[str] = []

    def script(step: Step) -> Script:
        tries.append(step.name)
        return Script(returncode=1 if len(tries) == 2 else 0)

    adapters = fake_adapters(script)
    exp = experiment(adapters)
    ensemble = exp.create_ensemble("e", params={"x": [7, 8]}, run_settings=exp.create_run_settings("solver"))
    exp.start(ensemble)
    assert exp.get_status(ensemble) == [COMPLETED, FAILED]
    assert remote(adapters).restart("e_1", by=ADA) == "e_1 was started again"
    assert exp.wait(ensemble) == [COMPLETED, COMPLETED]
    first, second = (job.facts for job in recorded(adapters).entities["e_1"])
    assert first.run_id != second.run_id
    assert (first.run, second.run) == (0, 1)
    for facts in (first, second):
        assert (facts.ensemble, facts.directory, facts.params["x"]) == ("e", "e/e_1", "8")
    assert len(tries) == 3  # the other member was left alone
    assert ensemble.models[0].name == "e_0"


def test_an_ensemble_and_a_model_are_restarted() -> None:
    adapters = fake_adapters()
    exp = experiment(adapters)
    model = exp.create_model("m", exp.create_run_settings("solver"))
    ensemble = exp.create_ensemble("e", run_settings=exp.create_run_settings("solver"), replicas=2)
    exp.start(model, ensemble)
    remote(adapters).restart("e", by=ADA)
    remote(adapters).restart("m", by=ADA)
    assert exp.get_status(model, ensemble) == [RUNNING] * 3
    exp.wait()
    assert {name: len(jobs) for name, jobs in recorded(adapters).entities.items()} == {"m": 2, "e_0": 2, "e_1": 2}


def test_a_member_of_a_batch_job_is_stopped_and_restarted_in_a_job_of_its_own() -> None:
    adapters = endless()
    exp = Experiment("study", "/virtual", "slurm", adapters=adapters)
    settings = exp.create_run_settings("solver")
    batch = exp.create_batch_settings(nodes=2)
    ensemble = exp.create_ensemble("e", run_settings=settings, batch_settings=batch, replicas=3)
    exp.start(ensemble, block=False)
    remote(adapters).stop("e_1", by=ADA)
    assert exp.get_status(ensemble) == [RUNNING, CANCELLED, RUNNING]
    remote(adapters).restart("e_1", by=ADA)
    assert exp.get_status(ensemble) == [RUNNING] * 3
    steps = cast("ScriptedWorkloadManager", adapters.workload_manager).submitted
    jobs = [step.batch for step in steps]
    assert None not in jobs
    assert jobs[0] == jobs[1] == jobs[2] != jobs[3]
    assert [job.facts.ensemble for job in recorded(adapters).entities["e_1"]] == ["e", "e"]


def test_a_job_is_stopped_while_the_start_that_began_it_goes_on() -> None:
    """As that of a database which waits in the queue of a scheduler."""
    begun, going_on = threading.Event(), threading.Event()

    def script(step: Step) -> Script:
        if step.name.startswith("second"):
            begun.set()
            assert going_on.wait(DEADLINE)
        return Script(duration=None)

    adapters = fake_adapters(script)
    exp = experiment(adapters)
    settings = exp.create_run_settings("solver")
    first, second = exp.create_model("first", settings), exp.create_model("second", settings)
    start = threading.Thread(target=exp.start, args=(first, second), kwargs={"block": False})
    start.start()
    assert begun.wait(DEADLINE)
    assert remote(adapters).stop("first", by=ADA) == "first was stopped"
    going_on.set()
    start.join(DEADLINE)
    assert exp.get_status(first, second) == [CANCELLED, RUNNING]


def test_what_runs_is_not_restarted() -> None:
    adapters = endless()
    running(adapters)
    for name in ("e_1", "e"):
        with pytest.raises(SmartSimError, match=r"e_[01].* has not ended \(Running\): stop it first"):
            remote(adapters).restart(name, by=ADA)


def test_a_restart_that_fails_says_why() -> None:
    tries: list[str] = []

    def script(step: Step) -> Script:
        tries.append(step.name)
        return Script() if len(tries) == 1 else Script(refusal=SmartSimError("the program is gone: restore it"))

    adapters = fake_adapters(script)
    exp = experiment(adapters)
    model = exp.create_model("m", exp.create_run_settings("solver"))
    exp.start(model)
    with pytest.raises(SmartSimError, match="the program is gone: restore it"):
        remote(adapters).restart("m", by=ADA)
    assert exp.get_status(model) == [FAILED]


def test_who_asked_is_kept_as_one_short_line() -> None:
    adapters = endless()
    running(adapters)
    remote(adapters).stop("e_0", by="x\n\x1b[31m" + "y" * 5000)
    by = recorded(adapters).entities["e_0"][-1].stopped_by
    assert by.startswith("x??[31myyy")
    assert len(by) == 200


@pytest.mark.parametrize("action", ["stop", "restart"])
def test_what_nobody_knows_is_refused(action: str) -> None:
    adapters = endless()
    running(adapters)
    with pytest.raises(SmartSimError, match="There is no 'nothing' in the record of /virtual"):
        getattr(remote(adapters), action)("nothing", by=ADA)


def test_what_ended_is_not_stopped() -> None:
    adapters = fake_adapters()
    exp, _ = running(adapters)
    exp.wait()
    for name in ("e", "e_1"):
        with pytest.raises(SmartSimError, match=f"{name} has ended already: Completed"):
            remote(adapters).stop(name, by=ADA)


def test_with_telemetry_off_nobody_listens() -> None:
    adapters = endless()
    exp = experiment(adapters)
    exp.telemetry.disable()
    model = exp.create_model("m", exp.create_run_settings("solver"))
    exp.start(model, block=False)
    assert adapters.control.addresses("/virtual") == []
    exp.telemetry.enable()
    exp.start(exp.create_model("n", exp.create_run_settings("solver")), block=False)
    assert remote(adapters).stop("n", by=ADA) == "n was stopped"


def test_the_end_of_the_experiment_is_the_end_of_listening() -> None:
    adapters = endless()
    with experiment(adapters) as exp:
        assert adapters.control.addresses("/virtual") == []  # nothing was started
        exp.start(exp.create_model("m", exp.create_run_settings("solver")), block=False)
        assert len(adapters.control.addresses("/virtual")) == 1
        history = recorded(adapters)
    assert adapters.control.addresses("/virtual") == []
    with pytest.raises(SmartSimError, match=r"the last one was process \d+ on .*telemetry off.*`smart reap`"):
        RemoteControl("/virtual", history, adapters.control).stop("m", by=ADA)


def test_where_nobody_can_listen_experiments_run_all_the_same() -> None:
    class Deaf(InMemoryControlChannel):
        def listen(self, directory: str, answer: Answer) -> Listener:
            raise OSError(f"{directory} is on a file system without sockets: {answer}")

    with experiment(replace(fake_adapters(), control=Deaf())) as exp:
        model = exp.create_model("m", exp.create_run_settings("solver"))
        exp.start(model)
        assert exp.get_status(model) == [COMPLETED]


def test_listening_keeps_no_experiment() -> None:
    adapters = fake_adapters()
    exp, _ = running(adapters)
    exp.wait()
    reference = weakref.ref(exp)
    del exp, _
    gc.collect()
    assert reference() is None
    assert adapters.control.addresses("/virtual") == []


def test_of_several_drivers_the_one_that_started_it_last_is_asked() -> None:
    control = InMemoryControlChannel()
    drivers: list[Experiment] = []
    for _ in range(3):
        adapters = fake_adapters(lambda _: Script(duration=None))
        cast("VirtualClock", adapters.clock).advance(len(drivers) % 2)  # the second one starts last
        drivers.append(experiment(replace(adapters, control=control)))
    models = [exp.create_model("m", exp.create_run_settings("solver")) for exp in drivers]
    for exp, model in zip(drivers[:2], models, strict=False):
        exp.start(model, block=False)
    drivers[2].start(drivers[2].create_model("another", drivers[2].create_run_settings("solver")), block=False)
    RemoteControl("/virtual", History(), control).stop("m", by=ADA)
    assert [exp.get_status(model)[0] for exp, model in zip(drivers[:2], models, strict=False)] == [RUNNING, CANCELLED]


def test_the_driver_of_another_host_is_named() -> None:
    adapters = endless()
    _ = running(adapters)

    class Elsewhere(InMemoryControlChannel):
        def addresses(self, directory: str) -> list[Address]:
            del directory
            return [Address("nid0042", 17, is_here=False, name="x")]

    with pytest.raises(SmartSimError, match="The driver that could stop e_1 runs on nid0042: do this there"):
        RemoteControl("/virtual", recorded(adapters), Elsewhere()).stop("e_1", by=ADA)


def test_a_driver_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smartsim.app.remote_control._FIND_TIMEOUT", 0.05)
    control, going_on = InMemoryControlChannel(), threading.Event()
    listener = control.listen("/virtual", lambda request: {"late": going_on.wait(DEADLINE), **request})
    with pytest.raises(SmartSimError, match=r"the driver, process \d+ on localhost, has not answered"):
        RemoteControl("/virtual", History(), control).stop("m", by=ADA)
    going_on.set()
    listener.close()


def test_a_request_of_another_version_is_refused() -> None:
    adapters = endless()
    running(adapters)
    (address,) = adapters.control.addresses("/virtual")
    for request in ({"action": "pause", "entity": "e"}, {"action": "stop"}, {"action": "stop", "entity": 3, "by": "x"}):
        answer = adapters.control.ask("/virtual", address, request, DEADLINE)
        assert answer is not None
        assert "another version" in str(answer["error"])


def test_a_restart_waits_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smartsim.app.experiment._TURN", 0.05)
    adapters = fake_adapters()
    exp, _ = running(adapters)
    exp.wait()
    with exp._launching, pytest.raises(SmartSimError, match="starting something else: try again"):
        remote(adapters).restart("e_1", by=ADA)
    assert remote(adapters).restart("e_1", by=ADA) == "e_1 was started again"


def test_who_has_no_name_here_asks_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1000")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert user_here() == f"{os.getuid()}@{socket.gethostname()}"
