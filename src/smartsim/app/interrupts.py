"""Ctrl-C: every experiment with running jobs is told, the latest first, and then whoever handled it before."""

from __future__ import annotations

import contextvars
import signal
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from types import FrameType
from typing import Any, TypeVar

Result = TypeVar("Result")
_PATIENCE = 90.0  # seconds that listeners have, who may wait for what the interrupted thread holds


class InterruptHandler:
    """A handler of SIGINT that knows its predecessor.

    Python has one handler per process, so the experiments of a driver share this one. It holds them weakly: an
    experiment that is gone is not told.

    Args:
        previous: the handler found in place.
    """

    def __init__(self, previous: Callable[[int, FrameType | None], Any] | int | None) -> None:
        self._previous = previous
        self._listeners: list[weakref.WeakMethod[Callable[[], None]]] = []

    def add(self, listener: Callable[[], None]) -> None:
        """Tell a method, too; one that is known already is told once."""
        reference = weakref.WeakMethod(listener)
        self._listeners = [known for known in self._listeners if known() is not None and known != reference]
        self._listeners.append(reference)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Tell everybody.

        The listeners run in a thread of their own: the main thread may hold any lock just now. It is no daemon, so the
        interpreter does not exit before they are through.
        """
        listeners = [listener for known in reversed(self._listeners) if (listener := known()) is not None]
        thread = threading.Thread(target=_call_all, args=(listeners,), name="smartsim-interrupt")
        thread.start()
        if callable(self._previous):
            self._previous(number, frame)
        elif self._previous == signal.SIG_DFL:
            thread.join(_PATIENCE)
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


def _call_all(listeners: list[Callable[[], None]]) -> None:
    for listener in listeners:
        listener()


def on_interrupt(listener: Callable[[], None]) -> None:
    """Have a method called at Ctrl-C. Does nothing outside the main thread, where Python allows no handlers."""
    if threading.current_thread() is not threading.main_thread():
        return
    handler = signal.getsignal(signal.SIGINT)
    if handler == signal.SIG_IGN:
        return  # as for a driver in the background of a shell script: the Ctrl-C is meant for others
    if not isinstance(handler, InterruptHandler):
        handler = InterruptHandler(handler)
        signal.signal(signal.SIGINT, handler)
    handler.add(listener)


def run_whole(function: Callable[[], Result]) -> Result:
    """Return what a function returns, without a signal handler ever ending it half-way.

    Python runs signal handlers in the main thread, between any two of its instructions: a `KeyboardInterrupt` there
    could come between the start of a process and the note of its id. So a call from the main thread runs in another
    one; what a handler raises meanwhile is raised once the function has ended.
    """
    if threading.current_thread() is not threading.main_thread():
        return function()
    future: Future[Result] = Future()
    context = contextvars.copy_context()
    begun = threading.Lock()  # whoever has it decides whether the function is called at all

    def run() -> None:
        if not begun.acquire(blocking=False):
            return
        try:
            future.set_result(context.run(function))
        except BaseException as error:  # noqa: BLE001 - raised where the function was called
            future.set_exception(error)
        finally:
            ended.release()

    # Not `Thread.join`: one that a signal handler interrupts takes the thread for ended (Python 3.11).
    ended = threading.Lock()
    ended.acquire()
    raised: BaseException | None = None
    try:
        threading.Thread(target=run, name="smartsim-launch").start()
    except BaseException as error:
        if begun.acquire(blocking=False):
            raise
        raised = error
    while not future.done():
        try:
            ended.acquire()
        except BaseException as error:  # noqa: BLE001 - raised below
            raised = error
    if raised is not None:
        raise raised
    return future.result()
