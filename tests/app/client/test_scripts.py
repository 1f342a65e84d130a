"""What calls about scripts say, word for word."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from scripted_store import CLUSTER, ScriptedStore
from smartsim.app.client import scripts
from smartsim.app.client.calls import Call, carry_out
from smartsim.domain.client_errors import RedisRuntimeError
from smartsim.ports.tensor_store import Command

OK = b"OK"
SOURCE = "def f(x):\n    return x  # ä\n"


def told(call: Call[Any], *rounds: list[Any], shards: Any = None) -> list[list[tuple[Any, ...]]]:
    """Return what a call says when it is answered so."""
    store = ScriptedStore(*rounds) if shards is None else ScriptedStore(*rounds, shards=shards)
    carry_out(call, store)
    return [[request.words for request in requests if isinstance(request, Command)] for requests in store.asked]


@pytest.mark.parametrize("source", [SOURCE, SOURCE.encode()])
def test_a_script_is_stored_as_it_is(source: str | bytes) -> None:
    ((store,),) = told(scripts.set_script("s", source, "gpu:1"), [OK])
    assert store == (b"AI.SCRIPTSET", b"s", b"GPU:1", b"SOURCE", SOURCE.encode())


def test_in_a_cluster_every_shard_has_a_script_and_the_first_is_asked_for_it() -> None:
    (stores,) = told(scripts.set_script("s", SOURCE), [OK] * 3, shards=CLUSTER)
    assert [store[1] for store in stores] == [b"{\0\0}.s", b"{8M}.s", b"{\xed\xeb}.s"]
    (deletes,) = told(scripts.delete_script("s"), [OK] * 3, shards=CLUSTER)
    assert [delete[:2] for delete in deletes] == [(b"AI.SCRIPTDEL", store[1]) for store in stores]
    store = ScriptedStore([SOURCE.encode()], shards=CLUSTER)
    assert carry_out(scripts.get_script("s"), store) == SOURCE
    assert store.asked[0][0] == Command((b"AI.SCRIPTGET", b"{\0\0}.s", b"SOURCE"), key=b"{\0\0}.s", changes=False)


def test_the_copies_for_gpus_are_those_that_runs_look_for() -> None:
    asked = told(scripts.set_script_multigpu("s", SOURCE, 2, 2), [OK], [OK], [OK])
    assert [store[1:3] for (store,) in asked] == [(b"s.GPU:2", b"GPU:2"), (b"s.GPU:3", b"GPU:3"), (b"s", b"GPU")]
    ((run,),) = told(scripts.run_script_multigpu("s", "f", ["x"], ["y"], 5, 2, 2, 9), [OK])
    assert run[:3] == (b"AI.SCRIPTEXECUTE", b"s.GPU:3", b"f")
    (deletes,) = told(scripts.delete_script_multigpu("s", 2, 2), [OK] * 3)
    assert [delete[1] for delete in deletes] == [b"s.GPU:2", b"s.GPU:3", b"s"]


@pytest.mark.parametrize(
    ("call", "arguments", "error", "message"),
    [
        (
            scripts.set_script,
            (
                "s",
                3,
            ),
            TypeError,
            "Argument script is of type <class 'int'>",
        ),
        (
            scripts.set_script,
            (
                "s",
                SOURCE,
                "XPU",
            ),
            TypeError,
            "must start with either CPU or GPU",
        ),
        (
            scripts.set_script,
            (
                "s",
                SOURCE,
                "CPU:1",
            ),
            RedisRuntimeError,
            "CPU:1 is not a valid device",
        ),
        (
            scripts.set_script_multigpu,
            (
                "s",
                SOURCE,
                -1,
                0,
            ),
            ValueError,
            "first_gpu .* but it is -1",
        ),
        (
            scripts.run_script,
            (
                "s",
                3,
                [],
                [],
                9,
            ),
            TypeError,
            "Argument fn_name is of type <class 'int'>",
        ),
        (
            scripts.run_script_multigpu,
            (
                "s",
                "f",
                [],
                [],
                0,
                0,
                0,
                9,
            ),
            ValueError,
            "num_gpus .* but it is 0",
        ),
        (
            scripts.delete_script_multigpu,
            (
                "s",
                0,
                "1",
            ),
            TypeError,
            "Argument num_gpus is of type <class 'str'>",
        ),
    ],
)
def test_arguments_are_looked_at_before_anything_is_sent(
    call: Callable[..., Call[Any]], arguments: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        next(call(*arguments))


# Functions


def twice(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - as users write them for TorchScript
    return 2 * x


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that does the same."""
    return functools.wraps(function)(functools.partial(function))


def test_a_function_is_its_source() -> None:
    assert scripts.function_source(twice).startswith("def twice(x):")
    assert scripts.function_source(twice).endswith("    return 2 * x\n")


def test_a_nested_or_decorated_function_begins_at_its_def() -> None:
    @decorated
    def thrice(x: Any) -> Any:
        return 3 * x

    assert scripts.function_source(thrice) == "def thrice(x: Any) -> Any:\n    return 3 * x\n"


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (3, TypeError, "Argument provided for function, <class 'int'>, is not callable"),
        (len, TypeError, "builtin_function_or_method"),
        (eval("lambda x: x"), OSError, "could not get source code"),  # noqa: S307 - to have one without source
        (lambda x: x, ValueError, "is not made by a def statement"),
    ],
)
def test_what_has_no_source_cannot_be_stored(value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        scripts.function_source(value)
