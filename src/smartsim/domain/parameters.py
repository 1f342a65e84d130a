"""Parameters: what users may give, and the combinations that become the members of an ensemble."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from numbers import Number
from operator import index
from typing import Any, SupportsIndex, TypeAlias

from smartsim.domain.errors import SmartSimError, SSUnsupportedError, UserStrategyError

Strategy: TypeAlias = str | Callable[[list[str], list[list[str]], int], list[dict[str, str]]]
"""`"all_perm"`, `"step"`, `"random"`, or a callable that is given the names, the values of each and `n_models`, and
returns the parameters of each member."""

Sample: TypeAlias = Callable[[Sequence[int], int], Sequence[int]]
"""Draws that many from a sequence without repeats, as `random.Random(seed).sample` does."""


def model_parameters(params: object) -> dict[str, str]:
    """Return the parameters of a model as text.

    Args:
        params: a dictionary of name to string or number (those of NumPy too); None means no parameters.

    Raises:
        TypeError: when it is something else.

    Example:
        >>> model_parameters({"steps": 10, "dt": 0.5, "mesh": "fine"})
        {'steps': '10', 'dt': '0.5', 'mesh': 'fine'}
    """
    checked = {}
    for name, value in _named(params).items():
        if not isinstance(value, str | Number):
            raise TypeError(
                "Incorrect type for model parameters\nMust be numeric value or string.\n"
                f"Parameter {name!r} is of type {type(value).__name__}: {value!r}"
            )
        checked[name] = str(value)
    return checked


def ensemble_parameters(params: object) -> dict[str, list[str]]:
    """Return the values of each parameter of an ensemble as text.

    Args:
        params: a dictionary of name to a list of values, or to one value (a string or a number); None means no
            parameters.

    Raises:
        TypeError: when it is something else.
        ValueError: when a list is empty, since no member could be made of it.

    Example:
        >>> ensemble_parameters({"steps": [10, 20], "dt": 0.5})
        {'steps': ['10', '20'], 'dt': ['0.5']}
    """
    checked = {}
    for name, value in _named(params).items():
        if isinstance(value, list):
            if not value:
                raise ValueError(f"parameter {name!r} has an empty list of values: give it one value or more")
            checked[name] = [str(item) for item in value]
        elif isinstance(value, str | Number):
            checked[name] = [str(value)]
        else:
            raise TypeError(
                "Incorrect type for ensemble parameters\nMust be list, int, or string.\n"
                f"Parameter {name!r} is of type {type(value).__name__}: {value!r}. Write several values as a list; "
                "one value may be any number."
            )
    return checked


def expand(
    params: Mapping[str, Sequence[str]], strategy: Strategy, n_models: int = 0, sample: Sample | None = None
) -> list[dict[str, str]]:
    """Return the parameters of each member.

    Args:
        params: the values of each parameter.
        strategy: ``all_perm``: every combination, the last parameter varying fastest. ``step``: the first values
            together, then the second ones, and so on; a parameter with one value keeps it throughout. ``random``:
            `n_models` of all combinations, drawn without repeats; all of them when `n_models` is 0 or there are no
            more. A callable: what it returns.
        n_models: how many to draw, at least 0; a callable is given it too.
        sample: draws for ``random``; the caller makes and seeds it.

    Raises:
        SmartSimError: when ``step`` is given lists of different lengths.
        SSUnsupportedError: when the strategy is unknown.
        UserStrategyError: when a callable returns something that is not a list of parameter dictionaries.
        TypeError: when `n_models` is not an integer.
        ValueError: when `n_models` is negative.

    Example:
        >>> expand({"a": ["1", "2"], "b": ["x"]}, "all_perm")
        [{'a': '1', 'b': 'x'}, {'a': '2', 'b': 'x'}]
    """
    n_models = _count("n_models", n_models)
    names, values = list(params), [list(column) for column in params.values()]
    if callable(strategy):
        return _ask(strategy, names, values, n_models)
    match strategy:
        case "all_perm":
            rows = list(product(*values))
        case "step":
            rows = _step(params)
        case "random":
            rows = _draw(values, n_models, sample)
        case _:
            raise SSUnsupportedError(
                f"Permutation strategy given is not supported: {strategy}\n"
                "Use 'all_perm', 'step', 'random' or a function of your own."
            )
    return [dict(zip(names, row, strict=True)) for row in rows]


def member_parameters(
    params: Mapping[str, Sequence[str]],
    strategy: Strategy,
    replicas: int | None,
    n_models: int,
    sample: Sample | None,
) -> list[dict[str, str]]:
    """Return the parameters of each member: every combination, replicated; copies of one combination stand together.

    Args:
        params: the values of each parameter; none at all gives members without parameters.
        strategy: see `expand`.
        replicas: how many members share one combination; None or 0 means one where there are parameters, and no
            member where there are none.
        n_models: see `expand`.
        sample: see `expand`.

    Raises:
        TypeError: when `replicas` is not an integer.
        ValueError: when `replicas` is negative.
        SmartSimError: see `expand`.

    Example:
        >>> member_parameters({"a": ["1", "2"]}, "all_perm", 2, 0, None)
        [{'a': '1'}, {'a': '1'}, {'a': '2'}, {'a': '2'}]
    """
    copies = _count("replicas", replicas or 0)
    if not params:
        return [{} for _ in range(copies)]
    combinations = expand(params, strategy, n_models, sample)
    return [dict(combination) for combination in combinations for _ in range(max(copies, 1))]


def _named(params: object) -> Mapping[str, Any]:
    if params is None:
        return {}
    if not isinstance(params, Mapping):
        raise TypeError(f"params must be a dictionary of name to value, not {type(params).__name__}: {params!r}")
    for name in params:
        if not isinstance(name, str):
            raise TypeError(f"the name of a parameter must be a string, not {type(name).__name__}: {name!r}")
    return params


def _count(what: str, number: object) -> int:
    if not isinstance(number, SupportsIndex):
        raise TypeError(f"{what} must be an integer, not {type(number).__name__}: {number!r}")
    count = index(number)
    if count < 0:
        raise ValueError(f"{what} is {count}: it must be 0 or more")
    return count


def _step(params: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    lengths = {name: len(column) for name, column in params.items()}
    several = {length for length in lengths.values() if length != 1}
    if len(several) > 1:
        listed = ", ".join(f"{name!r} has {length}" for name, length in lengths.items())
        raise SmartSimError(
            f"the strategy 'step' needs lists of one length, but {listed}: make them equally long, give a single "
            "value where it never changes, or use 'all_perm'"
        )
    steps = several.pop() if several else 1
    return [tuple(column[step if len(column) > 1 else 0] for column in params.values()) for step in range(steps)]


def _draw(values: list[list[str]], n_models: int, sample: Sample | None) -> list[tuple[str, ...]]:
    total = math.prod(map(len, values))
    if not 0 < n_models < total:
        return list(product(*values))
    if sample is None:
        raise ValueError("the strategy 'random' needs something to draw with: pass random.Random(seed).sample")
    if total <= sys.maxsize:
        return [_combination(values, number) for number in sample(range(total), n_models)]
    # No sequence can be that long. Values are drawn one by one; with so many combinations a repeat hardly ever occurs.
    drawn: dict[tuple[int, ...], tuple[str, ...]] = {}
    while len(drawn) < n_models:
        row = tuple(sample(range(len(column)), 1)[0] for column in values)
        drawn[row] = tuple(column[item] for column, item in zip(values, row, strict=True))
    return list(drawn.values())


def _combination(values: list[list[str]], number: int) -> tuple[str, ...]:
    """Return the combination of that number in product order, without making those before it."""
    row = []
    for column in reversed(values):
        number, item = divmod(number, len(column))
        row.append(column[item])
    return tuple(reversed(row))


def _ask(
    strategy: Callable[[list[str], list[list[str]], int], object],
    names: list[str],
    values: list[list[str]],
    n_models: int,
) -> list[dict[str, str]]:
    members = strategy(names, values, n_models)
    if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
        raise UserStrategyError(strategy)
    try:
        return [model_parameters(member) for member in members]
    except TypeError as error:
        raise UserStrategyError(strategy) from error
