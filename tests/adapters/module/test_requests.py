"""What becomes of requests: workers that die, clients that go, commands sent again, deadlines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from module_server import Server
from scripted_worker import Item, Output, Peer, ScriptedWorker, store
from servers import free_port
from waiting import wait_until

RUN = ("AI.MODELEXECUTE", "m", "INPUTS", 1, "a", "OUTPUTS", 1, "b")


@pytest.fixture
def worker(shared: Server, db: redis.Redis) -> Iterator[ScriptedWorker]:
    """A worker that has not asked for anything yet, and a model for it."""
    store_model(shared, "AI.MODELSTORE", "m", "TORCH", "CPU", "BLOB", "model")
    for key in ("a", "a2", "a3"):
        db.execute_command("AI.TENSORSET", key, "UINT8", 1, "BLOB", b"i")
    with ScriptedWorker(shared.socket, TORCH="2") as worker:
        yield worker


def store_model(server: Server, *words: Any) -> None:
    with Peer(server.socket) as client, ScriptedWorker(server.socket, process=99, TORCH="2") as worker:
        assert store(client, worker, *words) == b"OK"


def facts(db: redis.Redis, key: str = "m") -> dict[bytes, Any]:
    info = db.execute_command("AI.INFO", key)
    return dict(zip(info[::2], info[1::2], strict=True))


@contextmanager
def impatient_client(address: Path | tuple[str, int], db: redis.Redis) -> Iterator[Peer]:
    """A client that hangs up at the end; then the server has noticed."""
    with Peer(address) as peer:
        number = str(peer.id())
        yield peer
    wait_until(lambda: number not in {client["id"] for client in db.client_list()})


def await_waiting(db: redis.Redis, count: int) -> None:
    wait_until(lambda: facts(db)[b"waiting"] == count)


def answer(worker: ScriptedWorker, item: Item, value: bytes = b"o") -> None:
    worker.done(item, Output("UINT8", [1], [value]))


def refusal(peer: Peer) -> str:
    with pytest.raises(redis.ResponseError) as caught:
        peer.receive()
    return str(caught.value)


# Workers that die


def test_a_request_survives_one_worker(shared: Server, db: redis.Redis, worker: ScriptedWorker, client: Peer) -> None:
    client.send(*RUN)
    worker.next()
    with ScriptedWorker(shared.socket, process=2, TORCH="2") as other:
        worker.close()
        answer(other, other.next())
        assert client.receive() == b"OK"
    assert facts(db)[b"calls"] == 1
    assert facts(db)[b"workers_lost"] == 1


def test_at_the_second_death_a_request_fails_and_the_error_says_so(
    shared: Server, worker: ScriptedWorker, client: Peer
) -> None:
    client.send(*RUN)
    worker.next()
    with (
        ScriptedWorker(shared.socket, process=2, TORCH="2") as second,
        ScriptedWorker(shared.socket, process=3, TORCH="2") as third,
    ):
        worker.close()
        second.next()
        second.close()
        assert "died" in refusal(client)
        with Peer(shared.socket) as other:
            other.send(*RUN)
            answer(third, third.next())
            assert other.receive() == b"OK"


def test_a_process_that_died_is_not_tried_again_on_its_other_connection(
    shared: Server, db: redis.Redis, worker: ScriptedWorker, client: Peer
) -> None:
    with (
        ScriptedWorker(shared.socket, process=1, TORCH="2") as sibling,
        ScriptedWorker(shared.socket, role="SUPERVISOR", process=9, TORCH="2"),
    ):
        client.send(*RUN)
        worker.next()
        sibling.want()
        worker.close()
        await_waiting(db, 1)
        assert not sibling.answered()
        sibling.close()
        with ScriptedWorker(shared.socket, process=2, TORCH="2") as other:
            answer(other, other.next())
            assert client.receive() == b"OK"


def test_requests_of_a_worker_that_died_come_before_those_that_came_later(
    shared: Server, db: redis.Redis, worker: ScriptedWorker, client: Peer
) -> None:
    client.send(*RUN)
    worker.next()
    with (
        Peer(shared.socket) as later,
        ScriptedWorker(shared.socket, role="SUPERVISOR", TORCH="2"),
    ):
        later.send("AI.MODELEXECUTE", "m", "INPUTS", 1, "a2", "OUTPUTS", 1, "later")
        await_waiting(db, 1)
        worker.close()
        await_waiting(db, 2)
        with ScriptedWorker(shared.socket, process=2, TORCH="2") as other:
            answer(other, other.next(), b"1")
            assert client.receive() == b"OK"
            answer(other, other.next(), b"2")
            assert later.receive() == b"OK"


def test_of_a_batch_that_killed_its_worker_only_the_culprit_fails(
    shared: Server, db: redis.Redis, worker: ScriptedWorker
) -> None:
    store_model(shared, "AI.MODELSTORE", "batched", "TORCH", "CPU", "BATCHSIZE", 9, "BLOB", "batched")
    with (
        Peer(shared.socket) as first,
        Peer(shared.socket) as culprit,
        Peer(shared.socket) as last,
        ScriptedWorker(shared.socket, role="SUPERVISOR", TORCH="2"),
    ):
        peers = [first, culprit, last]
        for index, peer in enumerate(peers):
            db.execute_command("AI.TENSORSET", f"in{index}", "UINT8", 1, "BLOB", bytes([index]))
            peer.send("AI.MODELEXECUTE", "batched", "INPUTS", 1, f"in{index}", "OUTPUTS", 1, f"out{index}")
            wait_until(lambda count=index + 1: facts(db, "batched")[b"waiting"] == count)  # type: ignore[misc]
        assert worker.next().requests == 3
        worker.close()
        wait_until(lambda: facts(db, "batched")[b"waiting"] == 3)
        process = 2
        while facts(db, "batched")[b"waiting"] > 0:
            with ScriptedWorker(shared.socket, process=process, TORCH="2") as other:
                other.want()
                while facts(db, "batched")[b"waiting"] + facts(db, "batched")[b"running"] > 0:
                    item = other.next()
                    assert item.requests == 1
                    if item.inputs[0][1] == [b"\x01"]:
                        break
                    answer(other, item)
            process += 1
            wait_until(lambda: facts(db, "batched")[b"running"] == 0)
        assert first.receive() == last.receive() == b"OK"
        assert "died" in refusal(culprit)


def test_a_request_that_saw_a_worker_die_has_its_next_process_to_itself(
    shared: Server, db: redis.Redis, worker: ScriptedWorker, client: Peer
) -> None:
    client.send(*RUN)
    worker.next()
    worker_thread = {"process": 2, "TORCH": "2"}
    with (
        ScriptedWorker(shared.socket, **worker_thread) as one,  # type: ignore[arg-type]
        ScriptedWorker(shared.socket, **worker_thread) as two,  # type: ignore[arg-type]
        Peer(shared.socket) as other_client,
        Peer(shared.socket) as third_client,
    ):
        other_client.send("AI.MODELEXECUTE", "m", "INPUTS", 1, "a2", "OUTPUTS", 1, "b2")
        harmless = one.next()
        worker.close()
        await_waiting(db, 1)
        two.want()
        assert facts(db)[b"waiting"] == 1  # `one` has a job yet
        answer(one, harmless)
        assert other_client.receive() == b"OK"
        suspect = two if two.answered() else one
        bystander = one if suspect is two else two
        item = suspect.next()
        third_client.send("AI.MODELEXECUTE", "m", "INPUTS", 1, "a3", "OUTPUTS", 1, "b3")
        await_waiting(db, 1)
        bystander.want()
        answer(suspect, item)
        assert client.receive() == b"OK"
        last = suspect if suspect.answered() else bystander
        answer(last, last.next())
        assert third_client.receive() == b"OK"


def test_a_check_that_kills_two_workers_stores_nothing(
    shared: Server, db: redis.Redis, worker: ScriptedWorker, client: Peer
) -> None:
    client.send("AI.MODELSTORE", "deadly", "TORCH", "CPU", "BLOB", "x")
    worker.next()
    with (
        ScriptedWorker(shared.socket, process=2, TORCH="2") as second,
        ScriptedWorker(shared.socket, process=3, TORCH="2"),
    ):
        worker.close()
        second.next()
        second.close()
        assert "died" in refusal(client)
    assert not db.exists("deadly")


# No worker


def test_without_a_worker_the_error_comes_at_once_and_says_what_is_missing(
    worker: ScriptedWorker, client: Peer
) -> None:
    client.send("AI.MODELSTORE", "o", "ONNX", "CPU", "BLOB", "x")
    assert "pip install 'smartsim-next[onnx]'" in refusal(client)
    client.send("AI.MODELSTORE", "g", "TORCH", "GPU:1", "BLOB", "x")
    assert "no worker serves the device GPU:1" in refusal(client)
    worker.close()
    client.send("AI.MODELSTORE", "n", "TORCH", "CPU", "BLOB", "x")
    assert "none is connected" in refusal(client)


def test_requests_that_wait_fail_when_the_last_worker_goes(
    shared: Server, worker: ScriptedWorker, client: Peer
) -> None:
    with Peer(shared.socket) as other:
        client.send(*RUN)
        worker.next()
        other.send("AI.MODELEXECUTE", "m", "INPUTS", 1, "a2", "OUTPUTS", 1, "b2")
        worker.close()
        assert "no worker" in refusal(client)
        assert "no worker" in refusal(other)


def test_a_supervisor_stands_for_workers_that_are_being_started(
    shared: Server, db: redis.Redis, worker: ScriptedWorker, client: Peer
) -> None:
    worker.close()
    with ScriptedWorker(shared.socket, role="SUPERVISOR", process=9, TORCH="2") as supervisor:
        client.send(*RUN)
        await_waiting(db, 1)
        with ScriptedWorker(shared.socket, process=2, TORCH="2") as other:
            answer(other, other.next())
            assert client.receive() == b"OK"
        client.send(*RUN)
        await_waiting(db, 1)
        supervisor.unavailable("ERR libtorch.so is missing")
        assert "libtorch.so is missing" in refusal(client)
        client.send(*RUN)
        assert "libtorch.so is missing" in refusal(client)
        supervisor.hello(TORCH="2")
        client.send(*RUN)
        await_waiting(db, 1)


# Clients that go away, and come again


def test_a_client_that_goes_away_takes_its_queued_request_along(
    shared: Server, db: redis.Redis, worker: ScriptedWorker
) -> None:
    with impatient_client(shared.socket, db) as impatient:
        impatient.send(*RUN)
        await_waiting(db, 1)
    worker.want()
    await_waiting(db, 0)
    assert not worker.answered()
    assert not db.exists("b")


def test_a_command_sent_again_keeps_its_place_in_the_queue(
    shared: Server, db: redis.Redis, worker: ScriptedWorker, client: Peer
) -> None:
    with impatient_client(shared.socket, db) as impatient:
        impatient.send(*RUN)
        await_waiting(db, 1)
    client.send("AI.MODELEXECUTE", "m", "INPUTS", 1, "a2", "OUTPUTS", 1, "later")
    await_waiting(db, 2)
    with Peer(shared.socket) as again:
        again.send(*RUN)
        wait_until(lambda: sum(c["cmd"] == "AI.MODELEXECUTE" for c in db.client_list()) == 2)
        answer(worker, worker.next(), b"1")
        assert again.receive() == b"OK"
        answer(worker, worker.next(), b"2")
        assert client.receive() == b"OK"
    assert facts(db)[b"calls"] == 2


def test_the_same_command_joins_the_one_that_runs(
    shared: Server, db: redis.Redis, worker: ScriptedWorker, client: Peer
) -> None:
    client.send(*RUN)
    item = worker.next()
    with Peer(shared.socket) as other, Peer(shared.socket) as different:
        other.send(*RUN)
        different.send("AI.MODELEXECUTE", "m", "INPUTS", 1, "a", "OUTPUTS", 1, "elsewhere")
        await_waiting(db, 1)
        wait_until(lambda: sum(c["cmd"] == "AI.MODELEXECUTE" for c in db.client_list()) == 3)
        answer(worker, item)
        assert client.receive() == other.receive() == b"OK"
        answer(worker, worker.next())
        assert different.receive() == b"OK"
    assert facts(db)[b"calls"] == 2


def test_the_outcome_of_a_run_is_kept_for_the_command_that_is_sent_again(
    shared: Server, db: redis.Redis, worker: ScriptedWorker, client: Peer
) -> None:
    with impatient_client(shared.socket, db) as impatient:
        impatient.send(*RUN)
        item = worker.next()
    answer(worker, item, b"1")
    wait_until(lambda: bool(db.exists("b")))
    client.send(*RUN)
    assert client.receive() == b"OK"
    assert facts(db)[b"calls"] == 1
    client.send(*RUN)  # it was told: this one is new
    answer(worker, worker.next(), b"2")
    assert client.receive() == b"OK"
    assert facts(db)[b"calls"] == 2


SLOW = 0.15  # seconds, longer than any client is patient


@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("output", ["b", "a"])
def test_an_answer_to_a_connection_that_is_read_no_more_is_kept_for_the_command_that_is_sent_again(
    shared: Server, db: redis.Redis, worker: ScriptedWorker, heard: bool, output: str
) -> None:
    command = (*RUN[:-1], output)
    with ExitStack() as stack:
        with impatient_client(shared.socket, db) as impatient:
            impatient.send(*command)
            item = worker.next()
            time.sleep(SLOW)
            answer(worker, item, b"1")
            wait_until(impatient.answered)
            if heard:
                assert impatient.receive() == b"OK"
                impatient.ask("PING")
            again = stack.enter_context(Peer(shared.socket))  # clients of old connect anew before they hang up
            again.ask("PING")
        again.send(*command)
        if heard:
            answer(worker, worker.next(), b"2")
        assert again.receive() == b"OK"
    assert facts(db)[b"calls"] == 1 + heard


def test_steps_that_each_have_a_connection_of_their_own_are_all_done(
    shared: Server, db: redis.Redis, worker: ScriptedWorker
) -> None:
    for number in range(3):
        with impatient_client(shared.socket, db) as client:
            client.send("AI.MODELEXECUTE", "m", "INPUTS", 1, "a", "OUTPUTS", 1, "a")
            item = worker.next()
            time.sleep(SLOW)
            answer(worker, item, bytes([number]))
            assert client.receive() == b"OK"
    assert facts(db)[b"calls"] == 3


def test_over_tcp_an_answer_that_was_read_was_heard(serve: Callable[..., Server]) -> None:
    port = free_port()
    server = serve("--port", str(port))
    db = server.client()
    store_model(server, "AI.MODELSTORE", "m", "TORCH", "CPU", "BLOB", "model")
    db.execute_command("AI.TENSORSET", "a", "UINT8", 1, "BLOB", b"i")
    address = ("127.0.0.1", port)
    with ScriptedWorker(server.socket, TORCH="2") as worker, ExitStack() as stack:
        for heard in (True, False):
            calls = facts(db)[b"calls"]
            with impatient_client(address, db) as impatient:
                impatient.send(*RUN[:-1], "a")
                answer_slowly(worker)
                wait_until(lambda: facts(db)[b"calls"] == calls + 1)  # noqa: B023 - called at once; the answer is out then
                again = stack.enter_context(Peer(address))
                again.ask("PING")
                if heard:
                    assert impatient.receive() == b"OK"
                impatient.drop()
            again.send(*RUN[:-1], "a")
            if heard:
                answer(worker, worker.next())
            assert again.receive() == b"OK"
            assert facts(db)[b"calls"] == calls + 1 + heard


def answer_slowly(worker: ScriptedWorker) -> None:
    item = worker.next()
    time.sleep(SLOW)
    answer(worker, item)


def test_a_run_that_nobody_waits_for_does_not_undo_what_came_later(
    shared: Server, db: redis.Redis, worker: ScriptedWorker, client: Peer
) -> None:
    with impatient_client(shared.socket, db) as impatient:
        impatient.send(*RUN)
        late = worker.next()
    db.execute_command("AI.TENSORSET", "a", "UINT8", 1, "BLOB", b"j")
    with ScriptedWorker(shared.socket, process=2, TORCH="2") as second:
        client.send(*RUN)
        answer(second, second.next(), b"2")
        assert client.receive() == b"OK"
        answer(worker, late, b"1")
        wait_until(lambda: facts(db)[b"calls"] == 2)
    assert db.execute_command("AI.TENSORGET", "b", "BLOB") == b"2"


def test_an_outcome_that_is_kept_keeps_no_tensors(
    shared: Server, db: redis.Redis, worker: ScriptedWorker, client: Peer
) -> None:
    size = 8 << 20
    db.execute_command("AI.TENSORSET", "a", "UINT8", size, "BLOB", bytes(size))
    with impatient_client(shared.socket, db) as impatient:
        impatient.send(*RUN)
        item = worker.next()
    worker.done(item, Output("UINT8", [size], [bytes(size)]))
    wait_until(lambda: bool(db.exists("b")))
    before = db.info("memory")["used_memory"]
    db.delete("a", "b")
    assert before - db.info("memory")["used_memory"] > 1.5 * size
    client.send(*RUN)
    assert "tensor key is empty" in refusal(client)


def test_who_asks_for_the_next_has_heard_the_last(
    shared: Server, db: redis.Redis, worker: ScriptedWorker, client: Peer
) -> None:
    with impatient_client(shared.socket, db) as impatient:
        for output in ("b", "c"):
            impatient.send(*RUN[:-1], output)
            item = worker.next()
            time.sleep(SLOW)
            answer(worker, item)
            wait_until(impatient.answered)
            assert impatient.receive() == b"OK"
    client.send(*RUN)
    answer(worker, worker.next(), b"2")
    assert client.receive() == b"OK"


def test_an_error_is_kept_for_the_command_that_is_sent_again(
    shared: Server, db: redis.Redis, worker: ScriptedWorker, client: Peer
) -> None:
    with impatient_client(shared.socket, db) as impatient:
        impatient.send(*RUN)
        item = worker.next()
    worker.fail(item, "ERR no good")
    wait_until(lambda: facts(db)[b"errors"] == 1)
    client.send(*RUN)
    assert refusal(client) == "no good"


def test_a_run_that_replaces_its_input_is_not_done_twice_when_sent_again(
    shared: Server, db: redis.Redis, worker: ScriptedWorker, client: Peer
) -> None:
    step = ("AI.MODELEXECUTE", "m", "INPUTS", 1, "a", "OUTPUTS", 1, "a")
    with impatient_client(shared.socket, db) as impatient:
        impatient.send(*step)
        item = worker.next()
    answer(worker, item, b"1")
    wait_until(lambda: facts(db)[b"calls"] == 1)
    client.send(*step)
    assert client.receive() == b"OK"
    client.send(*step)
    answer(worker, worker.next(), b"2")
    assert client.receive() == b"OK"
    assert facts(db)[b"calls"] == 2


@pytest.mark.parametrize("change", ["output", "input", "model"])
def test_an_outcome_is_not_kept_when_something_has_changed(
    shared: Server, db: redis.Redis, worker: ScriptedWorker, client: Peer, change: str
) -> None:
    with impatient_client(shared.socket, db) as impatient:
        impatient.send(*RUN)
        item = worker.next()
    answer(worker, item, b"1")
    wait_until(lambda: bool(db.exists("b")))
    if change == "output":
        db.delete("b")
    elif change == "input":
        db.execute_command("AI.TENSORSET", "a", "UINT8", 1, "BLOB", b"j")
    else:
        assert store(client, worker, "AI.MODELSTORE", "m", "TORCH", "CPU", "BLOB", "other model") == b"OK"
    client.send(*RUN)
    answer(worker, worker.job(), b"2")
    assert client.receive() == b"OK"
    assert db.execute_command("AI.TENSORGET", "b", "BLOB") == b"2"


# Deadlines


def test_timeout_is_a_deadline_for_a_request_that_waits(db: redis.Redis, worker: ScriptedWorker, client: Peer) -> None:
    client.send(*RUN, "TIMEOUT", 30)
    assert refusal(client) == "timed out after 30 ms"
    worker.want()
    assert facts(db)[b"waiting"] == 0
    assert not worker.answered()


def test_timeout_is_a_deadline_for_a_run_whose_output_is_then_dropped(
    db: redis.Redis, worker: ScriptedWorker, client: Peer
) -> None:
    client.send(*RUN, "TIMEOUT", 30)
    item = worker.next()
    assert refusal(client) == "timed out after 30 ms"
    answer(worker, item)
    client.send(*RUN)
    again = worker.next()
    assert not db.exists("b")
    answer(worker, again)
    assert client.receive() == b"OK"


def test_what_is_done_after_the_deadline_is_an_error_however_busy_the_server_is(
    db: redis.Redis, worker: ScriptedWorker, client: Peer
) -> None:
    for _ in range(20):  # the server looks at deadlines between commands: what came first may be seen first
        client.send(*RUN, "TIMEOUT", 1)
        item = worker.next()
        time.sleep(0.005)  # past the deadline
        answer(worker, item)
        assert refusal(client) == "timed out after 1 ms"
        assert not db.exists("b")


def test_one_deadline_of_two_does_not_end_the_run(
    shared: Server, db: redis.Redis, worker: ScriptedWorker, client: Peer
) -> None:
    client.send(*RUN)
    item = worker.next()
    with Peer(shared.socket) as hasty:
        hasty.send(*RUN, "TIMEOUT", 30)
        assert "timed out" in refusal(hasty)
    answer(worker, item)
    assert client.receive() == b"OK"
    assert db.exists("b")


def test_a_run_that_nobody_wants_any_more_is_ended_with_its_worker(
    shared: Server, db: redis.Redis, worker: ScriptedWorker, client: Peer
) -> None:
    with (
        ScriptedWorker(shared.socket, role="SUPERVISOR", process=9, TORCH="2") as supervisor,
        Peer(shared.socket) as bystander,
        ScriptedWorker(shared.socket, process=1, TORCH="2") as sibling,
    ):
        bystander.send("AI.MODELEXECUTE", "m", "INPUTS", 1, "a2", "OUTPUTS", 1, "b2")
        sibling.next()
        client.send(*RUN, "TIMEOUT", 30)
        worker.next()
        assert "timed out" in refusal(client)
        item = supervisor.next()
        assert item.words == ("KILL", "1")
        worker.close()
        sibling.close()
        with ScriptedWorker(shared.socket, process=2, TORCH="2") as other:
            other.next()  # the sibling's, which is not to blame
            other.close()
        await_waiting(db, 1)
        with ScriptedWorker(shared.socket, process=3, TORCH="2") as other:
            answer(other, other.next())
            assert bystander.receive() == b"OK"


# What is refused


@pytest.mark.usefixtures("worker")
def test_not_within_a_transaction_or_a_script(client: Peer) -> None:
    client.ask("MULTI")
    client.ask(*RUN)
    (error,) = client.ask("EXEC")
    assert "Cannot run RedisAI command within a transaction or a LUA script" in str(error)
    with pytest.raises(redis.ResponseError, match="Cannot run RedisAI command within a transaction"):
        client.ask("EVAL", "return redis.call(unpack(ARGV))", 0, *RUN)


def test_another_kind_of_value_under_an_output_key_stays(db: redis.Redis, worker: ScriptedWorker, client: Peer) -> None:
    db.set("taken", "text")
    client.send("AI.MODELEXECUTE", "m", "INPUTS", 1, "a", "OUTPUTS", 2, "b", "taken")
    worker.done(worker.next(), Output("UINT8", [1], [b"x"]), Output("UINT8", [1], [b"y"]))
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.receive()
    assert not db.exists("b")
    assert db.get("taken") == b"text"


def test_what_a_worker_answers_is_checked(db: redis.Redis, worker: ScriptedWorker, client: Peer) -> None:
    for output, words in [
        (Output("UINT8", [2], [b"x"]), "data length does not match"),
        (Output("UINT8", [0], [b""]), "an output is empty"),
        (Output("NUMBER", [1], [b"x"]), "a type is unknown"),
        (Output("BOOL", [1], [b"\x02"]), "must be 0 or 1"),
        (Output("UINT8", [1], []), "words are missing"),
        (Output("UINT8", [1], [b"x", b"y"]), "words too many"),
    ]:
        client.send(*RUN)
        worker.done(worker.next(), output)
        assert words in refusal(client)
    client.send(*RUN)
    worker.done(worker.next())
    assert "number of outputs" in refusal(client)
    assert not db.exists("b")


def test_a_deleted_program_is_dropped_by_the_workers_that_have_it(
    db: redis.Redis, worker: ScriptedWorker, client: Peer
) -> None:
    client.send(*RUN)
    item = worker.next()
    assert worker.fetch().payload == b"model"
    answer(worker, item)
    assert client.receive() == b"OK"
    db.delete("m")
    drop = worker.next()
    assert drop.words == ("DROP", str(item.version))


def test_the_workers_commands_are_in_order(shared: Server, worker: ScriptedWorker, client: Peer) -> None:
    for words, error in [
        (("NEXT",), "say HELLO first"),
        (("HELLO", 2, "WORKER", "CPU", 1), "version 1"),
        (("HELLO", 1, "WORKER", "CPU"), "wrong number"),
        (("HELLO", 1, "BOSS", "CPU", 1), "not WORKER or SUPERVISOR"),
        (("HELLO", 1, "WORKER", "TPU", 1), "Invalid DEVICE"),
        (("HELLO", 1, "WORKER", "CPU", "one"), "invalid process id"),
        (("HELLO", 1, "WORKER", "CPU", 1, "JAX", "1"), "unsupported backend"),
    ]:
        with pytest.raises(redis.ResponseError, match=error):
            client.ask("AI._WORKER", *words)
    for words, error in [
        (("FETCH",), "no job"),
        (("DONE", 7, 1, 0), "no such job"),
        (("UNAVAILABLE", "x"), "takes a supervisor's reason"),
        (("DANCE",), "unsupported subcommand"),
    ]:
        with (
            ScriptedWorker(shared.socket, process=5, TORCH="2") as other,
            pytest.raises(redis.ResponseError, match=error),
        ):
            other.ask("AI._WORKER", *words)
    client.send(*RUN)
    worker.next()
    with pytest.raises(redis.ResponseError, match="answer the job"):
        worker.ask("AI._WORKER", "NEXT")
    with pytest.raises(redis.ResponseError, match="no such job"):
        worker.ask("AI._WORKER", "DONE", 0, 1, 0)


def test_a_program_that_was_deleted_is_stored_by_the_command_that_is_sent_again(
    shared: Server, db: redis.Redis, worker: ScriptedWorker
) -> None:
    words = ("AI.SCRIPTSET", "s", "CPU", "SOURCE", "def f(x): return x\n")
    with ExitStack() as stack:
        with impatient_client(shared.socket, db) as impatient:
            impatient.send(*words)
            check = worker.next()
            time.sleep(SLOW)
            worker.checked(check)
            wait_until(impatient.answered)
            again = stack.enter_context(Peer(shared.socket))
            again.ask("PING")
        db.delete("s")
        again.send(*words)
        worker.checked(worker.job())
        assert again.receive() == b"OK"
    assert db.exists("s")


def test_a_store_that_was_overtaken_by_a_later_one_does_not_undo_it(
    shared: Server, db: redis.Redis, worker: ScriptedWorker, client: Peer
) -> None:
    client.send("AI.SCRIPTSET", "s", "CPU", "SOURCE", "older")
    older = worker.next()
    with Peer(shared.socket) as other, ScriptedWorker(shared.socket, process=2, TORCH="2") as second:
        other.send("AI.SCRIPTSET", "s", "CPU", "SOURCE", "newer")
        second.checked(second.next())
        assert other.receive() == b"OK"
        worker.checked(older)
        assert client.receive() == b"OK"
    assert db.execute_command("AI.SCRIPTGET", "s", "SOURCE") == b"newer"
