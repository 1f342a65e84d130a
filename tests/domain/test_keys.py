from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain.keys import Prefixes

NAME = st.text(min_size=1)
PREFIX = st.text("abc_0123", min_size=1)


def test_names_are_prefixed_as_every_client_does_it() -> None:
    prefixes = Prefixes.parse("sim_0,sim_1", "analysis")
    assert prefixes.tensor_to_read("t") == "sim_0.t"
    assert prefixes.tensor_to_write("t") == "analysis.t"
    assert prefixes.dataset_to_read("d") == "sim_0.{d}"
    assert prefixes.dataset_to_write("d") == "analysis.{d}"
    assert prefixes.list_to_read("l") == "sim_0.l"
    assert prefixes.list_to_write("l") == "analysis.l"
    assert prefixes.model_to_read("m") == "m"
    assert prefixes.model_to_write("m") == "m"


def test_each_kind_of_name_has_its_switch() -> None:
    on = Prefixes.parse("in", "out")
    assert replace(on, tensors=False).tensor_to_read("t") == "t"
    assert replace(on, tensors=False).dataset_to_read("t") == "in.{t}"
    assert replace(on, datasets=False).dataset_to_write("d") == "{d}"
    assert replace(on, datasets=False).list_to_write("l") == "out.l"
    assert replace(on, lists=False).list_to_read("l") == "l"
    assert replace(on, models=True).model_to_read("m") == "in.m"
    assert replace(on, models=True).model_to_write("m") == "out.m"


@given(NAME)
def test_without_prefixes_a_name_is_its_key(name: str) -> None:
    prefixes = Prefixes.parse("", "")
    assert prefixes.tensor_to_read(name) == prefixes.tensor_to_write(name) == name
    assert prefixes.dataset_to_read(name) == f"{{{name}}}"


@given(st.lists(PREFIX, min_size=1, unique=True), st.data())
def test_any_of_the_sources_can_be_read_from(sources: list[str], data: st.DataObject) -> None:
    prefixes = Prefixes.parse(",".join(sources), "")
    assert prefixes.source == sources[0]
    chosen = data.draw(st.sampled_from(sources))
    assert prefixes.reading_from(chosen).tensor_to_read("t") == f"{chosen}.t"


@pytest.mark.parametrize(("key_in", "source"), [("", "sim"), ("sim_0,sim_1", "sim"), ("sim_0", "")])
def test_another_source_is_refused(key_in: str, source: str) -> None:
    with pytest.raises(LookupError, match=repr(source)):
        Prefixes.parse(key_in, "").reading_from(source)
