from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smartsim.domain.templates import Template

TAGS = [";", "@", "$", ".", "|", "\\", "^", "(", "]", "%", "*", "?", "@@", "<<", "$$$", "aa", "ab", " ", "§", "TAG"]
tags = st.sampled_from(TAGS) | st.text(st.characters(exclude_characters="\r\n"), min_size=1, max_size=3)
texts = st.text(st.characters(exclude_categories=["Cs"]))
awkward = st.sampled_from(["\\1", "\\g<0>", "\\", "$1", ";X;", ";", "@X@", "%s", "{}", "a\nb", "", "\\n"])
values = texts | awkward


def replaced(text: str, tag: str, params: dict[str, str]) -> tuple[str, frozenset[str]]:
    """Do by the letter what the rules say, one character after another; return the text and the names used."""
    result, used, place = "", set(), 0
    while place < len(text):
        fitting = [
            name
            for name in params
            if name and tag not in name and not set("\r\n") & set(name) and text.startswith(tag + name + tag, place)
        ]
        if fitting:
            name = min(fitting, key=len)
            result += params[name]
            used.add(name)
            place += len(tag + name + tag)
        else:
            result += text[place]
            place += 1
    return result, frozenset(used)


# Text that is thick with tags: few different characters, so that marks touch, overlap and enclose each other.
thick = st.lists(st.sampled_from([*"abX;@ \n", ";X;", ";b ;", "@X", "aaX"]), max_size=25).map("".join)
thick_params = st.dictionaries(st.text(st.sampled_from("abX;@ \n"), max_size=3), values, max_size=5)


@given(thick, st.sampled_from([";", "@", "aa", "ab", ";;", "@;@", " ", "a"]), thick_params)
@example(text="a=;X; b=;Y;", tag=";", params={"Y": "1"})
@example(text=";a;X;b;", tag=";", params={"X": "1"})
@example(text=";a;;X;", tag=";", params={"a": ";X;", "X": "\\1"})
@example(text="aaXaaa", tag="aa", params={"X": "1", "Xa": "2"})
def test_the_rules_hold_to_the_letter(text: str, tag: str, params: dict[str, str]) -> None:
    rendered = Template.parse(text, tag, params).render(params)
    assert (rendered.text, rendered.used) == replaced(text, tag, params)


@given(st.data(), tags, texts.filter(bool), values)
def test_a_tag_becomes_its_value_whatever_that_holds_and_the_rest_stays(
    data: st.DataObject, tag: str, name: str, value: str
) -> None:
    free = st.text().filter(lambda text: not set(text) & set(tag))
    if set(name) & {*tag, "\r", "\n"}:
        name = next(letter for letter in "QRSTUV" if letter not in tag)
    before, between, after = data.draw(free), data.draw(free), data.draw(free)
    text = f"{before}{tag}{name}{tag}{between}{tag}{name}{tag}{after}"
    rendered = Template.parse(text, tag, [name]).render({name: value})
    assert rendered.text == f"{before}{value}{between}{value}{after}"
    assert rendered.used == {name}


@given(texts, tags)
def test_without_parameters_nothing_changes(text: str, tag: str) -> None:
    rendered = Template.parse(text, tag, []).render({})
    assert rendered.text == text
    assert rendered.used == frozenset()


@given(thick, st.dictionaries(st.sampled_from(["q", "qq", "absent name"]), values))
def test_parameters_without_a_tag_change_nothing(text: str, params: dict[str, str]) -> None:
    assert Template.parse(text, ";", params).render(params).text == text


@given(
    st.lists(st.sampled_from(["a = ;X;", "no tag", ";", ";X", "", "x;X;y;X;"])), st.sampled_from(["\n", "\r\n", "\r"])
)
def test_line_ends_are_kept(lines: list[str], end: str) -> None:
    text = end.join(lines)
    assert Template.parse(text, names=["X"]).render({"X": "1"}).text == end.join(
        line.replace(";X;", "1") for line in lines
    )


@given(thick, st.lists(st.fixed_dictionaries({"a": values, "X": values, "b ": values}), min_size=1, max_size=4))
def test_one_template_serves_every_member(text: str, members: list[dict[str, str]]) -> None:
    template = Template.parse(text, ";", members[0])
    for params in members:
        rendered = template.render(params)
        assert (rendered.text, rendered.used) == replaced(text, ";", params)


@pytest.mark.parametrize("tag", TAGS)
def test_any_text_marks_a_tag(tag: str) -> None:
    text = f"x={tag}Q{tag},y={tag}Q{tag}{tag}R{tag}\n"
    rendered = Template.parse(text, tag, ["Q", "R"]).render({"Q": "1", "R": "2"})
    assert rendered.text == "x=1,y=12\n"
    assert rendered.used == {"Q", "R"}
    assert rendered.unknown == frozenset()


@pytest.mark.parametrize(
    ("text", "params", "expected"),
    [
        ("a=;X; b=;Y;", {"Y": "2"}, "a=;X; b=2"),
        (";a;X;b;", {"X": "1"}, ";a1b;"),
        (";X;Y;", {"X": "1", "Y": "2"}, "1Y;"),
        (";X;;Y;", {"X": "1", "Y": "2"}, "12"),
        (";X\n;", {"X": "1"}, ";X\n;"),
        ("; X ;", {"X": "1"}, "; X ;"),
        ("; X ;", {" X ": "1"}, "1"),
        (";x;", {"X": "1"}, ";x;"),
        (";;", {"": "1"}, ";;"),
        (";X;Y;", {"X;Y": "1"}, ";X;Y;"),
        (";a\nb;", {"a\nb": "1"}, ";a\nb;"),
        ("dt = ;dt;  ! step", {"dt": "1\\2"}, "dt = 1\\2  ! step"),
    ],
)
def test_examples(text: str, params: dict[str, str], expected: str) -> None:
    assert Template.parse(text, names=params).render(params).text == expected


C_SOURCE = """\
for (i = 0; i < n; i++) { a; b(); }
for(i=0;i<n;i++) x[i]=y; return 0;
int steps = ;steps;; double dt = ;dt;;
"""


def test_source_code_with_semicolons_survives() -> None:
    params = {"steps": "10", "dt": "0.5"}
    rendered = Template.parse(C_SOURCE, names=params).render(params)
    assert rendered.text == C_SOURCE.replace(";steps;", "10").replace(";dt;", "0.5")
    assert rendered.unknown == frozenset()


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("a=;X; b=;Y; c=;mesh.size;", {"X", "mesh.size"}),
        (";X;", {"X"}),
        (";a;Y;b;", set()),
        (";a;b;c;", {"a", "c"}),
        (";größe_2;", {"größe_2"}),
        ("i<n; 1; 2.5; f(x); a b; ;-x; ;;", set()),
        ("x;\ny;", set()),
        ("x; \r y;", set()),
    ],
)
def test_only_what_looks_like_a_tag_is_reported(text: str, unknown: set[str]) -> None:
    rendered = Template.parse(text, names=["Y"]).render({"Y": "2"})
    assert rendered.unknown == unknown
    assert rendered.text == text.replace(";Y;", "2")


@given(thick, st.sampled_from([";", "@", "ab"]), thick_params)
def test_what_is_reported_stands_in_the_text_and_is_no_parameter(text: str, tag: str, params: dict[str, str]) -> None:
    for word in Template.parse(text, tag, params).render(params).unknown:
        assert f"{tag}{word}{tag}" in text
        assert word not in params
        assert re.fullmatch(r"[\w.-]+", word)


@pytest.mark.parametrize("tag", ["", "\n", ";\r", "a\nb"])
def test_what_cannot_mark_a_tag_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="cannot mark a tag") as caught:
        Template.parse("text", tag, ["X"])
    assert repr(tag) in str(caught.value)


def test_a_missing_value_is_an_error_not_a_gap() -> None:
    with pytest.raises(ValueError, match="no value for 'X'"):
        Template.parse("a = ;X;", names=["X"]).render({})
