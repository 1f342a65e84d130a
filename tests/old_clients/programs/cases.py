"""How a program that another interpreter runs is told what to do, and how it tells what came of it."""

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

Outcome = dict[str, str] | None


def main(*cases: Callable[..., Any]) -> None:
    """Call the one of the functions that the command line names, with the keyword arguments that it gives as JSON.

    What the function returns is the last line of the output, as JSON: the clients write there, too.
    """
    name, arguments = sys.argv[1:]
    (case,) = (case for case in cases if case.__name__ == name)
    result = case(**json.loads(arguments))
    print(f"\n{json.dumps(result, default=_as_json)}", flush=True)  # noqa: T201 - that is how it is told


def failure(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Outcome:
    """Return the type and the message of the exception that a call raises; None if it raises none."""
    try:
        call(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - which one it is, is the question
        return {"type": type(error).__name__, "message": str(error)}
    return None


def _as_json(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {"dtype": str(value.dtype), "shape": value.shape, "values": value.tolist()}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, bytes):
        return value.decode("latin-1")
    raise TypeError(f"no JSON for {value!r}")
