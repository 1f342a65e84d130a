"""What every control channel does."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from smartsim.adapters.control.in_memory import InMemoryControlChannel
from smartsim.adapters.control.unix import UnixControlChannel
from smartsim.ports.control_channel import LONGEST, Answer, ControlChannel, Listener, Message

DEADLINE = 30.0
Listen = Callable[[str, Answer], Listener]


@pytest.fixture(params=["memory", "unix"])
def channel(request: pytest.FixtureRequest) -> ControlChannel:
    return InMemoryControlChannel() if request.param == "memory" else UnixControlChannel()


@pytest.fixture
def listen(channel: ControlChannel) -> Iterator[Listen]:
    """Listen until the end of the test."""
    with ExitStack() as stack:

        def begin(directory: str, answer: Answer) -> Listener:
            listener = channel.listen(directory, answer)
            stack.callback(listener.close)
            return listener

        yield begin


def echo(request: Message) -> Message:
    return {"heard": request}


def test_a_driver_answers(channel: ControlChannel, listen: Listen, tmp_path: Path) -> None:
    directory = str(tmp_path)
    assert channel.addresses(directory) == []
    listen(directory, echo)
    (address,) = channel.addresses(directory)
    assert address.is_here
    request = {"action": "stop", "entity": 'π "\n\udcff', "n": [1, None, 2.5, {"deep": True}]}
    assert channel.ask(directory, address, request, DEADLINE) == {"heard": request}
    assert channel.ask(directory, address, {}, DEADLINE) == {"heard": {}}


def test_drivers_are_told_apart(channel: ControlChannel, listen: Listen, tmp_path: Path) -> None:
    directory, another = str(tmp_path / "a"), str(tmp_path / "b")
    for name in ("first", "second"):
        listen(directory, lambda _, name=name: {"name": name})  # type: ignore[misc] # the lambda's default
    listen(another, echo)
    addresses = channel.addresses(directory)
    answers = [channel.ask(directory, address, {}, DEADLINE) for address in addresses]
    assert sorted(str(answer["name"]) for answer in answers if answer is not None) == ["first", "second"]
    assert len(channel.addresses(another)) == 1


def test_a_driver_that_went_is_gone(channel: ControlChannel, listen: Listen, tmp_path: Path) -> None:
    directory = str(tmp_path)
    listener = listen(directory, echo)
    (address,) = channel.addresses(directory)
    listener.close()
    assert channel.addresses(directory) == []
    assert channel.ask(directory, address, {}, DEADLINE) is None
    listener.close()
    listen(directory, echo)
    (address,) = channel.addresses(directory)
    assert channel.ask(directory, address, {}, DEADLINE) == {"heard": {}}


def test_a_slow_answer_holds_up_no_other(channel: ControlChannel, listen: Listen, tmp_path: Path) -> None:
    directory, begun, going_on = str(tmp_path), threading.Event(), threading.Event()

    def answer(request: Message) -> Message:
        if request["slow"]:
            begun.set()
            assert going_on.wait(DEADLINE)
        return request

    listen(directory, answer)
    (address,) = channel.addresses(directory)
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(channel.ask, directory, address, {"slow": True}, DEADLINE)
        assert begun.wait(DEADLINE)
        assert channel.ask(directory, address, {"slow": False}, DEADLINE) == {"slow": False}
        assert not slow.done()
        going_on.set()
        assert slow.result(DEADLINE) == {"slow": True}


def test_waiting_has_a_deadline(channel: ControlChannel, listen: Listen, tmp_path: Path) -> None:
    directory, going_on = str(tmp_path), threading.Event()

    def answer(request: Message) -> Message:
        going_on.wait(DEADLINE)
        return request

    listen(directory, answer)
    (address,) = channel.addresses(directory)
    with pytest.raises(TimeoutError):
        channel.ask(directory, address, {}, 0.05)
    going_on.set()


def test_what_is_too_long_is_not_sent(channel: ControlChannel, listen: Listen, tmp_path: Path) -> None:
    listen(str(tmp_path), echo)
    (address,) = channel.addresses(str(tmp_path))
    around = len('{"text": ""}\n')
    with pytest.raises(ValueError, match=f"too long: {LONGEST}"):
        channel.ask(str(tmp_path), address, {"text": "x" * (LONGEST - around + 1)}, DEADLINE)
