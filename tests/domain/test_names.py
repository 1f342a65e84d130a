from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain.names import check_entity_name, member_name, run_id, shard_name, step_name

names = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/"), min_size=1).filter(
    lambda name: name not in {".", "..", ".smartsim", "smartsim_params.txt"}
)


@given(names)
def test_every_name_that_can_be_a_directory_is_kept_as_it_is(name: str) -> None:
    assert check_entity_name(name) == name


@pytest.mark.parametrize("name", ["heat", "heat run 1", "Wärme", "模型", "a.b", "-x", "..a", "a;b", "$HOME"])
def test_names_of_users_are_fine(name: str) -> None:
    assert check_entity_name(name) == name


@given(st.text(), st.sampled_from(["/", "\0", "\n", "\r", "\t", "\x1b", "\x7f", "\x85", "\ud800"]), st.text())
def test_a_character_that_breaks_paths_or_records_is_refused_with_the_name(left: str, wrong: str, right: str) -> None:
    name = left + wrong + right
    with pytest.raises(ValueError, match="cannot be the name of an entity because of") as caught:
        check_entity_name(name)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("", "it is empty"),
        (".", "the directory itself"),
        ("..", "the directory above"),
        (".smartsim", "its own records"),
        ("smartsim_params.txt", "the list of used parameters"),
    ],
)
def test_a_reserved_name_is_refused_with_the_reason(name: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule) as caught:
        check_entity_name(name)
    assert repr(name) in str(caught.value)


def test_no_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^Entity has no name\. Please set name attribute\.$"):
        check_entity_name(None)


@pytest.mark.parametrize("name", [1, b"model", ["model"], object])
def test_a_name_that_is_no_string_is_a_type_error(name: object) -> None:
    with pytest.raises(TypeError, match=type(name).__name__):
        check_entity_name(name)


def test_members_and_shards_are_numbered() -> None:
    assert [member_name("ens", i) for i in (0, 1, 10)] == ["ens_0", "ens_1", "ens_10"]
    assert [shard_name("orchestrator", i) for i in (0, 2)] == ["orchestrator_0", "orchestrator_2"]


@given(names, st.integers(min_value=0, max_value=2**80))
def test_a_step_name_tells_its_entity_and_its_time(entity: str, time_ns: int) -> None:
    name = step_name(entity, time_ns)
    digits = name.removeprefix(f"{entity}-")
    assert digits == digits.upper()
    assert int(digits, 36) == time_ns
    assert len(digits) == 1 or not digits.startswith("0")


def test_a_time_before_the_epoch_is_refused() -> None:
    with pytest.raises(ValueError, match=r"-1 ns"):
        step_name("m", -1)


@given(st.integers(min_value=0, max_value=2**128 - 1))
def test_a_run_id_is_twelve_hexadecimal_digits_of_the_low_bits(bits: int) -> None:
    text = run_id(bits)
    assert len(text) == 12
    assert set(text) <= set("0123456789abcdef")
    assert int(text, 16) == bits % 2**48
