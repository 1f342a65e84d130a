"""What every clock does."""

import threading

import pytest

from smartsim.adapters.clock.system import SystemClock
from smartsim.adapters.clock.virtual import VirtualClock
from smartsim.ports.clock import Clock


@pytest.fixture(params=[SystemClock, VirtualClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


def test_time_passes_while_waiting(clock: Clock) -> None:
    condition = threading.Condition()
    now, monotonic = clock.now(), clock.monotonic()
    with condition:
        assert not clock.wait_until(condition, lambda: False, timeout=0.02)
    assert clock.monotonic() - monotonic >= 0.02
    assert clock.now() >= now


def test_what_holds_already_is_not_waited_for(clock: Clock) -> None:
    condition = threading.Condition()
    with condition:
        assert clock.wait_until(condition, lambda: True, timeout=None)


def test_the_predicate_is_asked_with_the_condition_held(clock: Clock) -> None:
    condition = threading.Condition(threading.Lock())
    held: list[bool] = []

    def predicate() -> bool:
        held.append(not condition.acquire(blocking=False))
        return False

    with condition:
        clock.wait_until(condition, predicate, timeout=0.01)
        assert not condition.acquire(blocking=False)
    assert held
    assert all(held)


def test_a_system_clock_is_woken_by_a_notification() -> None:
    condition, done = threading.Condition(), []

    def work() -> None:
        with condition:
            done.append(True)
            condition.notify_all()

    with condition:
        thread = threading.Thread(target=work)
        thread.start()
        assert SystemClock().wait_until(condition, lambda: bool(done), timeout=30.0)
    thread.join()


def test_a_virtual_clock_lets_what_is_scheduled_happen_in_order_while_waiting() -> None:
    clock, condition, happened = VirtualClock(start=0.0), threading.Condition(), []
    clock.call_later(60.0, lambda: happened.append("second"))
    clock.call_later(30.0, lambda: happened.append("first"))
    clock.call_later(90.0, lambda: happened.append("never"))
    with condition:
        assert clock.wait_until(condition, lambda: len(happened) == 2, timeout=3600.0)
    assert happened == ["first", "second"]
    assert clock.now() == 60.0


def test_a_virtual_clock_says_when_a_wait_would_be_for_ever() -> None:
    condition = threading.Condition()
    with condition, pytest.raises(RuntimeError, match="Nothing is scheduled"):
        VirtualClock().wait_until(condition, lambda: False, timeout=None)
