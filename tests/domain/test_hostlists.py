from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain.cpu_sets import format_cpus
from smartsim.domain.hostlists import expand_hosts, expand_numbers, expand_repeated


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("login", ["login"]),
        ("node[1-3,7],gpu01", ["node1", "node2", "node3", "node7", "gpu01"]),
        ("n[008-011]", ["n008", "n009", "n010", "n011"]),
        ("n[9-11].site.org", ["n9.site.org", "n10.site.org", "n11.site.org"]),
        ("r[1-2]n[1-2]", ["r1n1", "r1n2", "r2n1", "r2n2"]),
        ("a,a", ["a", "a"]),
    ],
)
def test_hosts(text: str, hosts: list[str]) -> None:
    assert expand_hosts(text) == hosts


@pytest.mark.parametrize(
    "text", ["", "node[1-", "node1-2]", "node[3-1]", "node[a-b]", "a,,b", "node[]", "a,", "n[[1]]"]
)
def test_what_is_no_list_of_hosts_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="is no list of hosts|is no number|ends before it begins"):
        expand_hosts(text)


@given(st.sets(st.integers(0, 300), min_size=1))
def test_numbers_are_what_was_shortened(numbers: set[int]) -> None:
    assert expand_numbers(format_cpus(numbers)) == tuple(sorted(numbers))
    assert expand_hosts(f"n[{format_cpus(numbers)}]") == [f"n{number}" for number in sorted(numbers)]


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(1, 5)), min_size=1))
def test_repeated_numbers_are_written_out(repeated: list[tuple[int, int]]) -> None:
    text = ",".join(str(number) if times == 1 else f"{number}(x{times})" for number, times in repeated)
    assert expand_repeated(text) == [number for number, times in repeated for _ in range(times)]


@pytest.mark.parametrize("text", ["", "2(x)", "(x2)", "2x3", "1,,2"])
def test_what_is_no_repeated_number_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="is no number with how often it is repeated"):
        expand_repeated(text)
