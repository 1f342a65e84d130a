from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smartsim.domain.arguments import argument_words, parameter_words

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda name: not name.startswith("-"))
awkward = ["two words", " ", "", "a|b", "'", '"', "$HOME", "a;b&c", "line\nbreak", "\\", "Größe", "-x", "--x=1", "*"]
values = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(awkward)


@given(names, values)
def test_bare_names_get_their_dashes(name: str, value: str) -> None:
    expected = [f"-{name}", value] if len(name) == 1 else [f"--{name}={value}"]
    assert argument_words(name, value) == expected


@given(names, values)
def test_names_with_dashes_keep_them(name: str, value: str) -> None:
    assert argument_words(f"-{name}", value) == [f"-{name}", value]
    assert argument_words(f"--{name}", value) == [f"--{name}={value}"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("--x", ["--x=v w"]),
        ("--long", ["--long=v w"]),
        ("-x", ["-x", "v w"]),
        ("-xyz", ["-xyz", "v w"]),
        ("x", ["-x", "v w"]),
        ("xx", ["--xx=v w"]),
    ],
)
def test_the_six_forms(name: str, words: list[str]) -> None:
    assert argument_words(name, "v w") == words


@pytest.mark.parametrize("name", ["", "-", "--", "---"])
def test_a_name_of_dashes_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"^'{name}' cannot be passed as an argument"):
        argument_words(name, "1")


@given(st.dictionaries(names, values), st.data())
def test_words_come_in_the_order_of_the_names(params: dict[str, str], data: st.DataObject) -> None:
    chosen = data.draw(st.permutations(list(params)).flatmap(lambda order: st.just(order[: len(order) // 2 + 1])))
    words = parameter_words(chosen, params)
    for name in chosen:
        expected = argument_words(name, params[name])
        assert words[: len(expected)] == expected
        words = words[len(expected) :]
    assert words == []


def test_a_name_that_is_no_parameter_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match=r"'dx' of params_as_args is not a parameter; the parameters are: 'dt', 'n'"):
        parameter_words(["dt", "dx"], {"dt": "1", "n": "2"})
    with pytest.raises(ValueError, match=r"'dx'.*: none$"):
        parameter_words(["dx"], {})


@example(awkward)
@settings(max_examples=5, deadline=None)
@given(st.lists(values.filter(lambda value: "\0" not in value), min_size=1, max_size=20))
def test_a_program_receives_exactly_these_values(given_values: list[str]) -> None:
    params = {f"p{i}": value for i, value in enumerate(given_values)} | {"n": given_values[0]}
    words = parameter_words(list(params), params)
    show = "import sys; sys.stdout.buffer.write(repr(sys.argv[1:]).encode('utf-8', 'backslashreplace'))"
    ran = subprocess.run([sys.executable, "-X", "utf8", "-c", show, *words], capture_output=True, check=True)
    expected = [*(f"--p{i}={value}" for i, value in enumerate(given_values)), "-n", given_values[0]]
    assert ran.stdout.decode("utf-8") == repr(expected)
