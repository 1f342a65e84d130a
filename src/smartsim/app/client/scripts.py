"""Calls about scripts, and about functions stored as such."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, Final

from smartsim.app.client.calls import Call, text
from smartsim.app.client.devices import Copy, check_device, copies_on_gpus, key_on_gpus
from smartsim.app.client.programs import ask, delete, store
from smartsim.app.client.running import Run, run
from smartsim.domain.client_errors import check_type

_DELETE: Final = b"AI.SCRIPTDEL"


def set_script(key: str, script: str | bytes, device: str = "CPU") -> Call[None]:
    """Store a script on every shard; it comes back when a worker has looked at it.

    Args:
        key: of the script.
        script: TorchScript; bytes if it comes from a file.
        device: that runs it.
    """
    yield from _store([Copy(key, check_device(device))], script)


def set_script_multigpu(key: str, script: str | bytes, first_gpu: int, num_gpus: int) -> Call[None]:
    """Store a script for each of a range of GPUs."""
    yield from _store(copies_on_gpus(key, first_gpu, num_gpus), script)


def function_source(function: Callable[..., Any]) -> str:
    """Return the text of a function, from its ``def`` on: decorators and indentation mean nothing to TorchScript.

    Raises:
        TypeError: it cannot be called, or is not written in Python.
        OSError: its text is not to be had, as with functions typed into a prompt.
        ValueError: it has no ``def``.
    """
    if not callable(function):
        raise TypeError(f"Argument provided for function, {type(function)}, is not callable")
    source = textwrap.dedent(inspect.getsource(function))
    begin = re.search(r"^def ", source, re.MULTILINE)
    if begin is None:
        raise ValueError(f"{function!r} is not made by a def statement, which TorchScript wants")
    return source[begin.start() :]


def get_script(key: str) -> Call[str]:
    """Return the text of a script."""
    reply = yield from ask(lambda stored: (b"AI.SCRIPTGET", stored, b"SOURCE"), key)
    return text(reply).decode(errors="backslashreplace")


def run_script(key: str, fn_name: str, inputs: Sequence[str], outputs: Sequence[str], timeout_ms: int) -> Call[None]:
    """Run a function of a script.

    Args:
        key: of the script.
        fn_name: the name of the function.
        inputs: keys of tensors.
        outputs: keys of the tensors that it makes.
        timeout_ms: how long it may take, with all waiting, in milliseconds.
    """
    check_type(fn_name, "fn_name", str)
    yield from run(Run.of("AI.SCRIPTEXECUTE", key, (fn_name.encode(),), inputs, outputs, timeout_ms))


def run_script_multigpu(
    key: str,
    fn_name: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    offset: int,
    first_gpu: int,
    num_gpus: int,
    timeout_ms: int,
) -> Call[None]:
    """Run a function of the copy of a script on one of a range of GPUs; otherwise as `run_script`."""
    yield from run_script(key_on_gpus(key, offset, first_gpu, num_gpus), fn_name, inputs, outputs, timeout_ms)


def delete_script(key: str) -> Call[None]:
    """Delete a script from every shard."""
    yield from delete([Copy(key, "")], _DELETE)


def delete_script_multigpu(key: str, first_gpu: int, num_gpus: int) -> Call[None]:
    """Delete the copies of a script on a range of GPUs."""
    yield from delete(copies_on_gpus(key, first_gpu, num_gpus), _DELETE)


def _store(copies: Sequence[Copy], script: str | bytes) -> Call[None]:
    if not isinstance(script, bytes):
        check_type(script, "script", str)
        script = script.encode()
    source = script
    yield from store(copies, lambda key, device: (b"AI.SCRIPTSET", key, device, b"SOURCE", source))
