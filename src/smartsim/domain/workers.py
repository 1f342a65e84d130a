"""The workers beside a database, which run its models: what a user may say of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smartsim.domain.integers import integer

OPTION_NAMES: Mapping[str, str] = {
    "threads_per_queue": "threads_per_queue",
    "inter_op_parallelism": "inter_op_parallelism",
    "inter_op_threads": "inter_op_parallelism",
    "intra_op_parallelism": "intra_op_parallelism",
    "intra_op_threads": "intra_op_parallelism",
}
"""What users call the options, and what these are called here."""


@dataclass(frozen=True)
class WorkerOptions:
    """How the workers of a shard run models. None leaves a number to the default, or the framework.

    Attributes:
        threads_per_queue: how many runs at once on each device; 1 by default.
        inter_op_parallelism: operations of a model at once.
        intra_op_parallelism: threads of one operation.
    """

    threads_per_queue: int | None = None
    inter_op_parallelism: int | None = None
    intra_op_parallelism: int | None = None


def worker_options(options: Mapping[str, Any]) -> WorkerOptions:
    """Return what a user said of the workers, among other things.

    Args:
        options: by name; other names than those of `OPTION_NAMES` are passed over, and so is None.

    Raises:
        TypeError, ValueError: a number is none, or below 1, or an option is given twice with different numbers.

    Example:
        >>> worker_options({"intra_op_threads": 4, "port": 6379})
        WorkerOptions(threads_per_queue=None, inter_op_parallelism=None, intra_op_parallelism=4)
    """
    chosen: dict[str, int] = {}
    for given, name in OPTION_NAMES.items():
        value = options.get(given)
        if value is not None:
            number = integer(given, value, at_least=1)
            if chosen.get(name, number) != number:
                raise ValueError(f"{given}={number} contradicts {name}={chosen[name]}: give one of them")
            chosen[name] = number
    return WorkerOptions(**chosen)
