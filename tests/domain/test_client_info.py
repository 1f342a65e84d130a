from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain.client_info import parse_fields, parse_sections

NAMES = (
    st.text(st.characters(exclude_characters="\r\n:#", exclude_categories=["Cs"]), min_size=1)
    .map(str.strip)
    .filter(bool)
)
VALUES = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))
FIELDS = st.dictionaries(NAMES, VALUES)


@given(st.dictionaries(NAMES, FIELDS))
def test_sections_are_read_as_they_are_written(sections: dict[str, dict[str, str]]) -> None:
    text = ""
    for section, fields in sections.items():
        text += f"# {section}\r\n" + "".join(f"{name}:{value}\r\n" for name, value in fields.items()) + "\r\n"
    assert parse_sections(text) == sections


@given(FIELDS)
def test_fields_are_read_as_they_are_written(fields: dict[str, str]) -> None:
    assert parse_fields("".join(f"{name}:{value}\r\n" for name, value in fields.items())) == fields


def test_a_value_may_contain_colons() -> None:
    assert parse_fields("config_file:C:\\valkey.conf\r\n") == {"config_file": "C:\\valkey.conf"}


def test_fields_before_any_section_are_not_lost() -> None:
    assert parse_sections("a:1\r\n# B\r\nc:2\r\nno field\r\n") == {"": {"a": "1"}, "B": {"c": "2"}}


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert all(section in text for section in parse_sections(text))
    assert all(name in text for name in parse_fields(text))
