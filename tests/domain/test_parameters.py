from __future__ import annotations

import math
import random
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain.errors import SmartSimError, SSUnsupportedError, UserStrategyError
from smartsim.domain.parameters import ensemble_parameters, expand, member_parameters, model_parameters

names = st.text(min_size=1, max_size=5)
columns = st.lists(st.text(max_size=5), min_size=1, max_size=4, unique=True)
spaces = st.dictionaries(names, columns, max_size=4)
numbers = st.integers() | st.floats() | st.booleans() | st.fractions() | st.decimals()


def sampler(seed: int) -> Any:
    return random.Random(seed).sample  # noqa: S311 - experiments are sampled, not keys


# What users may give


@given(st.dictionaries(st.text(), st.text() | numbers))
def test_values_of_a_model_become_text(params: dict[str, Any]) -> None:
    assert model_parameters(params) == {name: str(value) for name, value in params.items()}


def test_numbers_of_numpy_are_numbers() -> None:
    given_params = {"n": np.int32(3), "dt": np.float64(0.25), "half": Fraction(1, 2), "exact": Decimal("0.10")}
    text = {"n": "3", "dt": "0.25", "half": "1/2", "exact": "0.10"}
    assert model_parameters(given_params) == text
    assert ensemble_parameters(given_params) == {name: [value] for name, value in text.items()}


@pytest.mark.parametrize("value", [None, [1], (1,), {"a": 1}, {1}, b"1", object()])
def test_other_values_of_a_model_are_refused_by_name(value: object) -> None:
    with pytest.raises(TypeError, match="Must be numeric value or string") as caught:
        model_parameters({"dt": 1, "mesh": value})
    assert "'mesh'" in str(caught.value)
    assert repr(value) in str(caught.value)


@given(st.dictionaries(st.text(), st.text() | numbers | st.lists(st.none() | st.text() | numbers, min_size=1)))
def test_values_of_an_ensemble_become_lists_of_text(params: dict[str, Any]) -> None:
    checked = ensemble_parameters(params)
    assert list(checked) == list(params)
    for name, value in params.items():
        assert checked[name] == [str(item) for item in (value if isinstance(value, list) else [value])]


@pytest.mark.parametrize("value", [None, (1, 2), {"a": 1}, {1}, b"1", range(3), np.arange(3)])
def test_other_values_of_an_ensemble_are_refused_by_name(value: object) -> None:
    with pytest.raises(TypeError, match="Must be list, int, or string") as caught:
        ensemble_parameters({"dt": [1, 2], "mesh": value})
    assert "'mesh'" in str(caught.value)
    assert repr(value) in str(caught.value)


def test_a_parameter_without_values_is_refused() -> None:
    with pytest.raises(ValueError, match="parameter 'dt' has an empty list"):
        ensemble_parameters({"dt": []})


@pytest.mark.parametrize("check", [model_parameters, ensemble_parameters])
def test_parameters_are_a_dictionary_of_names(check: Any) -> None:
    assert check(None) == check({}) == {}
    with pytest.raises(TypeError, match=r"params must be a dictionary .*not set: \{'THERMO'\}"):
        check({"THERMO"})
    with pytest.raises(TypeError, match="name of a parameter must be a string, not int: 1"):
        check({1: "a"})


# all_perm


@given(st.dictionaries(names, columns.map(sorted), max_size=4))
def test_all_perm_makes_every_combination_once_with_the_last_varying_fastest(space: dict[str, list[str]]) -> None:
    rows = [tuple(member.values()) for member in expand(space, "all_perm")]
    assert len(set(rows)) == len(rows) == math.prod(map(len, space.values()))
    assert rows == sorted(rows)
    assert all(list(member) == list(space) for member in expand(space, "all_perm"))


def test_all_perm_by_example() -> None:
    assert expand({"a": ["1", "2"], "b": ["x", "y"]}, "all_perm", 1) == [
        {"a": "1", "b": "x"},
        {"a": "1", "b": "y"},
        {"a": "2", "b": "x"},
        {"a": "2", "b": "y"},
    ]


# step


@given(spaces)
def test_step_loses_no_value_or_says_so(space: dict[str, list[str]]) -> None:
    lengths = {len(column) for column in space.values()} - {1}
    if len(lengths) > 1:
        with pytest.raises(SmartSimError, match="'step'") as caught:
            expand(space, "step")
        assert all(f"{name!r} has {len(column)}" in str(caught.value) for name, column in space.items())
        return
    members = expand(space, "step")
    for name, column in space.items():
        seen = [member[name] for member in members]
        assert seen == (column * len(members) if len(column) == 1 else column)


def test_step_keeps_a_single_value() -> None:
    assert expand({"a": ["1", "2", "3"], "b": ["x"]}, "step") == [
        {"a": "1", "b": "x"},
        {"a": "2", "b": "x"},
        {"a": "3", "b": "x"},
    ]


# random


@given(spaces, st.integers(0, 300), st.integers())
def test_random_draws_that_many_different_combinations(space: dict[str, list[str]], n_models: int, seed: int) -> None:
    everything = expand(space, "all_perm")
    drawn = expand(space, "random", n_models, sampler(seed))
    assert drawn == expand(space, "random", n_models, sampler(seed))
    assert all(member in everything for member in drawn)
    assert len({tuple(member.items()) for member in drawn}) == len(drawn)
    if 0 < n_models < len(everything):
        assert len(drawn) == n_models
    else:
        assert drawn == everything


def test_random_reaches_every_combination_about_equally_often() -> None:
    space = {"a": ["0", "1", "2"], "b": ["0", "1"], "c": ["x"]}
    seen = Counter(
        (member["a"], member["b"]) for seed in range(600) for member in expand(space, "random", 2, sampler(seed))
    )
    assert len(seen) == 6
    assert min(seen.values()) > 140  # 200 each are expected, with a standard deviation of 12
    assert max(seen.values()) < 260


@pytest.mark.parametrize("n_params", [15, 60])
def test_random_does_not_make_what_it_does_not_draw(n_params: int) -> None:
    space = {f"p{i}": [str(value) for value in range(10)] for i in range(n_params)}
    drawn = expand(space, "random", 200, sampler(7))
    assert len({tuple(member.items()) for member in drawn}) == 200
    for name, column in space.items():
        assert {member[name] for member in drawn} == set(column)


def test_random_needs_something_to_draw_with() -> None:
    with pytest.raises(ValueError, match=r"random\.Random"):
        expand({"a": ["1", "2"]}, "random", 1)


# Strategies of users


def test_a_callable_gets_names_values_and_number_and_decides() -> None:
    asked: list[Any] = []

    def strategy(keys: list[str], values: list[list[str]], n_models: int) -> list[dict[str, str]]:
        asked.append((keys, values, n_models))
        values[0].append("its own copy")
        return [{"a": "9", "extra": 3}] * 2  # type: ignore[dict-item]

    space = {"a": ["1", "2"], "b": ["x"]}
    members = expand(space, strategy, 5)
    assert members == [{"a": "9", "extra": "3"}, {"a": "9", "extra": "3"}]
    assert members[0] is not members[1]
    assert asked[0][0] == ["a", "b"]
    assert asked[0][2] == 5
    assert space == {"a": ["1", "2"], "b": ["x"]}


@pytest.mark.parametrize("result", [None, "a", {"a": "1"}, ({"a": "1"},), ["a"], [{"a": None}], [{1: "a"}]])
def test_a_callable_that_returns_something_else_is_named(result: Any) -> None:
    def my_strategy(_names: list[str], _values: list[list[str]], _n: int) -> Any:
        return result

    with pytest.raises(UserStrategyError, match="my_strategy"):
        expand({"a": ["1"]}, my_strategy)


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(SSUnsupportedError, match="Permutation strategy given is not supported: every"):
        expand({"a": ["1"]}, "every")


@pytest.mark.parametrize("strategy", ["all_perm", "step", "random", lambda _names, _values, _n: []])
def test_counts_are_checked_for_every_strategy(strategy: Any) -> None:
    with pytest.raises(ValueError, match="n_models is -1"):
        expand({"a": ["1"]}, strategy, -1)
    with pytest.raises(TypeError, match="n_models must be an integer, not float"):
        expand({"a": ["1"]}, strategy, 1.5)  # type: ignore[arg-type]


# Replicas


@given(spaces.filter(bool), st.none() | st.integers(0, 4), st.sampled_from(["all_perm", "random"]), st.integers(0, 5))
def test_every_combination_is_replicated(
    space: dict[str, list[str]], replicas: int | None, strategy: str, n_models: int
) -> None:
    combinations = expand(space, strategy, n_models, sampler(1))
    members = member_parameters(space, strategy, replicas, n_models, sampler(1))
    copies = replicas or 1
    assert members == [combinations[i // copies] for i in range(len(combinations) * copies)]
    assert len({id(member) for member in members}) == len(members)


@given(st.none() | st.integers(0, 50))
def test_replicas_alone_have_no_parameters(replicas: int | None) -> None:
    assert member_parameters({}, "all_perm", replicas, 0, None) == [{}] * (replicas or 0)


def test_replicas_are_checked() -> None:
    with pytest.raises(ValueError, match="replicas is -2"):
        member_parameters({"a": ["1"]}, "all_perm", -2, 0, None)
    with pytest.raises(TypeError, match="replicas must be an integer, not str: '3'"):
        member_parameters({"a": ["1"]}, "all_perm", "3", 0, None)  # type: ignore[arg-type]
