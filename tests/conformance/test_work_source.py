"""What every source of work does: the fake, and a shard over TCP and over a unix socket."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from smartsim.adapters.work.in_memory import InMemoryWorkSource
from smartsim.adapters.work.resp import RespWorkSource
from smartsim.domain.tensor_types import WIRE_NAMES
from smartsim.ports.work_source import (
    Call,
    Check,
    Drop,
    Item,
    Kill,
    ModelProgram,
    Program,
    Run,
    ScriptProgram,
    WorkSource,
    WorkSourceLostError,
)
from wire_shard import PASSWORD, WireShard, serving

Shard = InMemoryWorkSource | WireShard
Open = Callable[[Iterable[Item], Mapping[int, Program]], AbstractContextManager[tuple[WorkSource, Shard]]]

ANY_TENSOR = arrays.arrays(
    dtype=st.sampled_from(sorted(WIRE_NAMES)).map(np.dtype),
    shape=arrays.array_shapes(min_dims=0, max_dims=5, max_side=4),
)


@contextmanager
def fake(items: Iterable[Item], programs: Mapping[int, Program]) -> Iterator[tuple[WorkSource, Shard]]:
    source = InMemoryWorkSource(items, programs)
    yield source, source


@contextmanager
def real(path: str, items: Iterable[Item], programs: Mapping[int, Program]) -> Iterator[tuple[WorkSource, Shard]]:
    Path(path or "/nonexistent").unlink(missing_ok=True)
    shard = WireShard(items, programs)
    with serving(shard, path) as address, closing(RespWorkSource(address, "worker", PASSWORD)) as source:
        yield source, shard


@pytest.fixture(scope="module", params=["fake", "tcp", "unix"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Open:
    if request.param == "fake":
        return fake
    return partial(real, str(tmp_path_factory.mktemp("shard") / "s") if request.param == "unix" else "")


def same(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def ended(source: WorkSource) -> None:
    """See that there is nothing left to do."""
    with pytest.raises(WorkSourceLostError):
        source.next()


def test_a_worker_says_what_it_has(opened: Open) -> None:
    with opened([], {}) as (source, shard):
        source.hello("GPU:1", {"TORCH": "2.9", "ONNX": "1.2"})
        ended(source)
    assert shard.greeting == ("GPU:1", {"TORCH": "2.9", "ONNX": "1.2"})


@given(inputs=st.lists(ANY_TENSOR, min_size=1, max_size=3), outputs=st.lists(ANY_TENSOR, min_size=1, max_size=3))
def test_any_tensors_come_and_go_as_they_are(
    opened: Open, inputs: list[npt.NDArray[Any]], outputs: list[npt.NDArray[Any]]
) -> None:
    with opened([Run(7, 3, "ONNX", (1,), len(outputs), tuple(inputs))], {}) as (source, shard):
        source.hello("CPU", {})
        item = source.next()
        assert isinstance(item, Run)
        assert (item.job, item.version, item.backend, item.rows, item.outputs) == (7, 3, "ONNX", (1,), len(outputs))
        assert all(same(*pair) for pair in zip(item.inputs, inputs, strict=True))
        assert all(array.flags.c_contiguous and array.flags.writeable for array in item.inputs)
        source.done(7, 12, outputs, item.rows)
        ended(source)
    (answered,) = shard.answers[7].outputs
    assert all(same(*pair) for pair in zip(answered, outputs, strict=True))


@given(rows=st.lists(st.integers(1, 5), min_size=2, max_size=9), width=st.integers(1, 3))
def test_a_batch_is_one_array_and_its_outputs_are_cut(opened: Open, rows: list[int], width: int) -> None:
    first = np.arange(sum(rows) * width, dtype=np.float32).reshape(-1, width)
    second = np.arange(sum(rows), dtype=np.int16)
    with opened([Run(1, 1, "TORCH", tuple(rows), 2, (first, second))], {}) as (source, shard):
        source.hello("CPU", {})
        item = source.next()
        assert isinstance(item, Run)
        assert item.rows == tuple(rows)
        assert same(item.inputs[0], first)
        assert same(item.inputs[1], second)
        source.done(1, 0, [second * 2, first], item.rows)
        ended(source)
    cuts = [np.split(array, np.cumsum(rows)[:-1]) for array in (second * 2, first)]
    assert len(shard.answers[1].outputs) == len(rows)
    for answered, expected in zip(shard.answers[1].outputs, zip(*cuts, strict=True), strict=True):
        assert all(same(*pair) for pair in zip(answered, expected, strict=True))


def test_a_thousand_requests_and_large_tensors_go_through(opened: Open) -> None:
    rows = (300,) * 1000
    batch = np.random.default_rng(1).random((sum(rows), 4))
    with opened([Run(1, 1, "TORCH", rows, 1, (batch,))], {}) as (source, shard):
        source.hello("CPU", {})
        item = source.next()
        assert isinstance(item, Run)
        assert same(item.inputs[0], batch)
        source.done(1, 0, item.inputs, rows)
        ended(source)
    assert same(np.concatenate([outputs[0] for outputs in shard.answers[1].outputs]), batch)


@pytest.mark.parametrize("failed", [False, True])
def test_nothing_is_kept_of_a_job_that_was_answered(opened: Open, failed: bool) -> None:
    runs = (Run(job, 1, "TORCH", (2,), 1, (np.zeros(2),)) for job in (1, 2))
    with opened(runs, {}) as (source, _):
        source.hello("CPU", {})
        item = source.next()
        assert isinstance(item, Run)
        output = np.ones(2)
        kept = weakref.ref(item.inputs[0]), weakref.ref(output)
        if failed:
            source.fail(1, "ERR no")
        else:
            source.done(1, 0, [output], item.rows)
        del item, output
        assert [reference() for reference in kept] == [None, None]
        following = source.next()
        assert isinstance(following, Run)
        assert following.job == 2


def test_a_call_has_all_its_words(opened: Open) -> None:
    keys, args = ("{a}.k", "ключ", "\udcff"), ("", "two words")
    with opened([Call(9, 4, "f", keys, args, 1, 0, (np.zeros(2), np.ones((1, 1), np.int8)))], {}) as (source, shard):
        source.hello("CPU", {})
        item = source.next()
        assert isinstance(item, Call)
        assert (item.job, item.version, item.function, item.keys, item.args) == (9, 4, "f", keys, args)
        assert (item.list_start, item.outputs, len(item.inputs)) == (1, 0, 2)
        source.done(9, 0, [], (1,))
        ended(source)
    assert not any(shard.answers[9].outputs)


def test_programs_are_fetched_as_they_were_stored(opened: Open) -> None:
    model = ModelProgram("TF", ("x", "y"), ("z",), bytes(range(256)) * 1000)
    script = ScriptProgram(("f", "g"), "def f(): ...  # ü")
    with opened([Check(1, 10, "TF"), Check(2, 11, "TORCH")], {10: model, 11: script}) as (source, shard):
        source.hello("CPU", {})
        assert source.next() == Check(1, 10, "TF")
        assert source.fetch() == model
        source.checked(1, 5, ["x", ""], ["z"])
        assert source.next() == Check(2, 11, "TORCH")
        assert source.fetch() == script
        source.fail(2, "ERR it does not compile: ü")
        ended(source)
    assert shard.answers[1].names == (("x", ""), ("z",))
    assert shard.answers[2].error == "ERR it does not compile: ü"
    assert shard.fetched == [10, 11]


def test_what_needs_no_answer_is_followed_by_the_next(opened: Open) -> None:
    with opened([Drop((1, 2, 3)), Drop((2**63,)), Kill(4711)], {}) as (source, _):
        source.hello("CPU", {})
        assert source.next() == Drop((1, 2, 3))
        assert source.next() == Drop((2**63,))
        assert source.next() == Kill(4711)
        ended(source)
