"""What a worker makes of its work, with a toy framework and a shard in memory."""

from __future__ import annotations

import contextlib
import json
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from smartsim.adapters.ml.affine import AffineRuntime
from smartsim.adapters.work.in_memory import Answer, InMemoryWorkSource
from smartsim.app.serving import Programs, Serving
from smartsim.ports.model_runtime import LoadedModel, LoadedScript, ModelBlob, ModelRuntimeError
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
    WorkSourceLostError,
)

DEADLINE = 30.0
Arrays = Sequence[npt.NDArray[Any]]
ONES = np.ones((4, 2), np.float32)


class Model:
    """A model that is one Python function."""

    input_names = ("x",)
    output_names = ("y", "")

    def __init__(self, function: Callable[[Arrays], Arrays]) -> None:
        self._function = function

    def run(self, inputs: Arrays) -> Arrays:
        return self._function(inputs)

    def call(
        self, function: str, inputs: Arrays, keys: Sequence[str], args: Sequence[str], list_start: int, outputs: int
    ) -> Arrays:
        if function == "missing":
            raise ModelRuntimeError(f"Function does not exist: {function}")
        return [np.array([len(keys), len(args), list_start, outputs]), *self._function(inputs)][:outputs]


class Runtime:
    """Loads one Python function, whatever it is asked for."""

    backend = "TORCH"

    def __init__(self, function: Callable[[Arrays], Arrays]) -> None:
        self.loads: list[tuple[bytes, str]] = []
        self._function = function

    def load(self, model: ModelBlob, device: str) -> LoadedModel:
        self.loads.append((model.blob, device))
        if model.blob == b"bad":
            raise ModelRuntimeError("ERR these bytes\nare no model")
        return Model(self._function)


class ScriptRuntime(Runtime):
    def load(  # type: ignore[override]  # a script has a source and entry points
        self, source: str, entry_points: Sequence[str], device: str
    ) -> LoadedScript:
        assert (source, entry_points, device) == ("source", ("f",), "CPU")
        return Model(self._function)


def model(blob: bytes = b"m", backend: str = "TORCH") -> ModelProgram:
    return ModelProgram(backend, (), (), blob)


def served(
    items: Sequence[Item],
    function: Callable[[Arrays], Arrays] = lambda inputs: inputs,
    programs: dict[int, Program] | None = None,
) -> tuple[dict[int, Answer], InMemoryWorkSource, Runtime]:
    """Have a worker do everything there is to do."""
    source = InMemoryWorkSource(items, programs or {1: model(), 2: ScriptProgram(("f",), "source")})
    source.hello("CPU", {})
    runtime = Runtime(function)
    serving = Serving(source, Programs({"TORCH": runtime}, ScriptRuntime(function), "CPU"))
    with pytest.raises(WorkSourceLostError):
        serving.serve()
    return source.answers, source, runtime


def run(job: int, version: int = 1, rows: tuple[int, ...] = (4,), outputs: int = 1, backend: str = "TORCH") -> Run:
    return Run(job, version, backend, rows, outputs, (ONES,))


def test_a_model_is_fetched_and_loaded_once_and_run_often() -> None:
    answers, source, runtime = served([run(1), run(2), run(3)], lambda inputs: [inputs[0] * 2])
    assert source.fetched == [1]
    assert runtime.loads == [(b"m", "CPU")]
    assert all(np.array_equal(answers[job].outputs[0][0], ONES * 2) for job in (1, 2, 3))


def test_equal_content_is_loaded_once_under_many_versions() -> None:
    programs: dict[int, Program] = {1: model(), 2: model(), 3: model(b"other")}
    answers, source, runtime = served([run(1, 1), run(2, 2), run(3, 3)], programs=programs)
    assert source.fetched == [1, 2, 3]
    assert [blob for blob, _ in runtime.loads] == [b"m", b"other"]
    assert not any(answer.error for answer in answers.values())


def test_what_was_dropped_is_loaded_anew_unless_another_version_has_it() -> None:
    programs: dict[int, Program] = {1: model(), 2: model()}
    items: list[Item] = [run(1, 1), run(2, 2), Drop((1, 77)), run(3, 1), Drop((1, 2)), run(4, 1)]
    _, source, runtime = served(items, programs=programs)
    assert source.fetched == [1, 2, 1, 1]
    assert len(runtime.loads) == 2


def test_a_batch_is_run_once_and_answered_request_by_request() -> None:
    runs: list[int] = []

    def count(inputs: Arrays) -> Arrays:
        runs.append(len(inputs[0]))
        return [np.arange(4.0)]

    answers, _, _ = served([run(1, rows=(1, 3))], count)
    assert runs == [4]
    assert [outputs[0].tolist() for outputs in answers[1].outputs] == [[0.0], [1.0, 2.0, 3.0]]


@pytest.mark.parametrize(
    ("function", "rows", "error"),
    [
        (lambda _: [np.zeros(3)], (1, 3), "ERR Model did not generate the expected batch size"),
        (lambda _: [np.array(3.0)], (1, 3), "ERR Model did not generate the expected batch size"),
        (
            lambda _: [np.zeros(3), np.zeros(3)],
            (4,),
            "Number of keys given as OUTPUTS here does not match model definition",
        ),
        (lambda _: [], (4,), "Number of keys given as OUTPUTS here does not match model definition"),
        (lambda _: [np.zeros(3, np.float16)], (4,), "ERR output 0 is of type float16, which tensors cannot be"),
        (lambda _: [np.zeros((0, 3))], (4,), "ERR output 0 has the shape (0, 3): there is nothing in it"),
        (lambda _: 1 / 0, (4,), "ERR ZeroDivisionError: division by zero"),
    ],
)
def test_what_a_model_does_wrong_is_the_client_s_answer(
    function: Callable[[Arrays], Arrays], rows: tuple[int, ...], error: str
) -> None:
    answers, _, _ = served([run(1, rows=rows), Check(2, 1, "TORCH")], function)
    assert answers[1].error == error
    assert answers[2].names == (("x",), ("y", ""))


def test_outputs_of_one_request_have_any_shape() -> None:
    answers, _, _ = served([run(1)], lambda _: [np.array(3.0)])
    assert answers[1].outputs[0][0].shape == ()


def test_a_model_that_cannot_be_loaded_says_why_in_one_line() -> None:
    programs: dict[int, Program] = {1: model(b"bad"), 2: model(backend="ONNX")}
    items: list[Item] = [Check(1, 1, "TORCH"), run(2), Check(3, 2, "ONNX")]
    answers, _, runtime = served(items, programs=programs)
    assert answers[1].error == answers[2].error == "ERR these bytes are no model"
    assert "ONNX" in answers[3].error
    assert len(runtime.loads) == 2


def test_a_model_that_was_checked_runs_without_being_fetched_again() -> None:
    answers, source, _ = served([Check(1, 1, "TORCH"), run(2)])
    assert source.fetched == [1]
    assert answers[1].names == (("x",), ("y", ""))
    assert np.array_equal(answers[2].outputs[0][0], ONES)


def test_scripts_are_called_with_what_the_client_gave() -> None:
    call = Call(1, 2, "f", ("k",), ("a", "b"), -1, 2, (ONES,))
    missing = Call(2, 2, "missing", (), (), -1, 1, (ONES,))
    answers, source, _ = served([call, missing, Check(3, 2, "TORCH")])
    assert answers[1].outputs[0][0].tolist() == [1, 2, -1, 2]
    assert np.array_equal(answers[1].outputs[0][1], ONES)
    assert answers[2].error == "Function does not exist: missing"
    assert answers[3] == Answer()
    assert source.fetched == [2, 2]


@pytest.mark.parametrize(
    ("function", "keys", "args"), [("\udcff", (), ()), ("f", ("k", "\udcfc"), ()), ("f", (), ("\udc80", "a"))]
)
def test_words_for_a_script_that_are_not_utf_8_are_refused(
    function: str, keys: tuple[str, ...], args: tuple[str, ...]
) -> None:
    answers, _, _ = served([Call(1, 2, function, keys, args, -1, 1, (ONES,)), Call(2, 2, "f", (), (), -1, 1, (ONES,))])
    assert answers[1].error == "ERR the function's name and the script's KEYS and ARGS must be UTF-8"
    assert not answers[2].error


def test_programs_whose_words_are_not_utf_8_are_refused() -> None:
    programs: dict[int, Program] = {1: ModelProgram("TORCH", ("\udcff",), (), b"m"), 2: ScriptProgram((), "# \udcfc")}
    answers, _, _ = served([Check(1, 1, "TORCH"), Check(2, 2, "TORCH")], programs=programs)
    assert answers[1].error == "ERR the names of the model's INPUTS and OUTPUTS must be UTF-8"
    assert answers[2].error == "ERR the script and the names of its entry points must be UTF-8"


@pytest.mark.parametrize("fails", [False, True])
def test_no_memory_of_a_job_is_held_while_the_next_is_awaited(fails: bool) -> None:
    used: list[weakref.ref[npt.NDArray[Any]]] = []
    held: list[int] = []

    class Watched(InMemoryWorkSource):
        def next(self) -> Item:
            held.append(sum(array() is not None for array in used))
            return super().next()

    def function(inputs: Arrays) -> Arrays:
        output = inputs[0] * 2
        used.extend(map(weakref.ref, (inputs[0], output)))
        if fails:
            raise ValueError("no")
        return [output]

    source = Watched((Run(job, 1, "TORCH", (2,), 1, (np.ones(2),)) for job in (1, 2)), {1: model()})
    source.hello("CPU", {})
    with pytest.raises(WorkSourceLostError):
        Serving(source, Programs({"TORCH": Runtime(function)}, ScriptRuntime(function), "CPU")).serve()
    assert len(used) == 4
    assert held == [0, 0, 0]


def test_a_shard_that_mixes_up_its_programs_is_left() -> None:
    answers, source, _ = served([run(1, version=2), run(2)])
    assert source.fetched == [2]
    assert answers == {}


def test_a_worker_kills_nobody() -> None:
    answers, _, _ = served([Kill(1), run(1)])
    assert answers == {}


def test_the_toy_framework_of_the_package_serves() -> None:
    blob = json.dumps({"scale": 3.0, "shift": 1.0}).encode()
    source = InMemoryWorkSource([Run(1, 1, "ONNX", (4,), 1, (ONES,))], {1: model(blob, "ONNX")})
    source.hello("CPU", {})
    serving = Serving(source, Programs({"ONNX": AffineRuntime()}, ScriptRuntime(lambda inputs: inputs), "CPU"))
    with pytest.raises(WorkSourceLostError):
        serving.serve()
    assert np.array_equal(source.answers[1].outputs[0][0], ONES * 3 + 1)


def test_threads_that_need_the_same_model_load_it_once() -> None:
    fetched, loading = threading.Barrier(4), threading.Barrier(4)

    class Together(InMemoryWorkSource):
        def fetch(self) -> Program:
            fetched.wait(DEADLINE)  # none has loaded it yet
            return super().fetch()

    class Slow(Runtime):
        def load(self, model: ModelBlob, device: str) -> LoadedModel:
            with contextlib.suppress(threading.BrokenBarrierError):
                loading.wait(0.5)  # the others would come as well, if they could
            return super().load(model, device)

    runtime = Slow(lambda inputs: inputs)
    programs = Programs({"TORCH": runtime}, ScriptRuntime(lambda inputs: inputs), "CPU")

    def work(number: int) -> bool:
        source = Together([run(number)], {1: model()})
        source.hello("CPU", {})
        with pytest.raises(WorkSourceLostError):
            Serving(source, programs).serve()
        return np.array_equal(source.answers[number].outputs[0][0], ONES)

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(work, range(4), timeout=DEADLINE))
    assert len(runtime.loads) == 1
