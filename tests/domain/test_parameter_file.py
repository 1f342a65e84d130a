from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st
from tabulate import tabulate

from smartsim.domain.parameter_file import configured_entry, generation_header

words = st.text(string.ascii_letters + string.digits + "._-/+;", min_size=1)
parameters = st.dictionaries(words, words | st.sampled_from(["1.50", "1e5", "007", "two words", "True"]), min_size=1)


def test_header() -> None:
    assert generation_header("24/12/2026 08:05:09") == "Generation start date and time: 24/12/2026 08:05:09\n"


@given(words, st.dictionaries(words, parameters, min_size=1, max_size=4))
def test_an_entry_looks_as_tabulate_draws_it(model: str, files: dict[str, dict[str, str]]) -> None:
    rows = [
        (path, tabulate(params.items(), headers=["Name", "Value"], disable_numparse=True))
        for path, params in files.items()
    ]
    table = tabulate(rows, headers=["File name", "Parameters"], disable_numparse=True)
    assert configured_entry(model, files) == f"Model name: {model}\n{table}\n\n"


def test_values_stand_as_they_were_put_into_the_files() -> None:
    assert configured_entry("m", {"m/in.txt": {"dt": "0.50", "title": "heat  run"}, "m/sub/b.cfg": {"n": "007"}}) == (
        "Model name: m\n"
        "File name    Parameters\n"
        "-----------  -----------------\n"
        "m/in.txt     Name    Value\n"
        "             ------  ---------\n"
        "             dt      0.50\n"
        "             title   heat  run\n"
        "m/sub/b.cfg  Name    Value\n"
        "             ------  -------\n"
        "             n       007\n"
        "\n"
    )


def test_a_value_of_several_lines_stays_in_its_column() -> None:
    *_, first, second = configured_entry("m", {"f": {"x": "a\nb"}}).rstrip("\n").split("\n")
    assert first.index("a") == second.index("b")
    assert second.strip() == "b"


def test_entries_can_be_strung_together() -> None:
    entry = configured_entry("m", {"f": {"x": "1"}})
    assert entry.endswith("1\n\n")
    assert not entry.endswith("\n\n\n")
