"""TorchScript models: parameters, results, and that nothing else gets in."""

from __future__ import annotations

import io
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from smartsim.adapters.ml import torch_calls
from smartsim.adapters.ml.torch_runtime import TorchModel, TorchRuntime
from smartsim.adapters.ml.torch_serializer import TorchSerializer, function_source
from smartsim.ports.model_runtime import WRONG_INPUTS, ModelBlob, ModelRuntimeError, Parallelism

# torch says of all of TorchScript that it is deprecated; it is what the database's clients send.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated:DeprecationWarning")


def load(model: Any) -> TorchModel:
    return TorchRuntime().load(ModelBlob(TorchSerializer().serialize(model).blob), "CPU")


def function(source: str) -> TorchModel:
    """A model of which `forward` is this."""
    return load(torch.jit.CompilationUnit(source).forward)


class Scaled(torch.nn.Module):  # type: ignore[misc,unused-ignore]  # torch has no types for those who do not install it
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([[1.0, 2.0, 3.0]]))
        self.dropout = torch.nn.Dropout(0.9)

    def forward(self, x: torch.Tensor, shift: torch.Tensor | None = None, times: int = 2) -> Any:
        y = self.dropout(x * self.weight) * times
        return y if shift is None else y + shift


ONES = np.ones((1, 3), np.float32)


def test_parameters_with_defaults_may_be_left_out() -> None:
    model = load(Scaled())
    assert model.input_names == ("x",)
    assert model.run([ONES])[0].tolist() == [[2, 4, 6]]
    assert model.run([ONES, ONES])[0].tolist() == [[3, 5, 7]]


def test_modules_are_evaluated_not_trained() -> None:
    model = Scaled().train()
    for _ in range(5):
        assert load(model).run([ONES])[0].tolist() == [[2, 4, 6]]
    assert model.training


def test_a_list_of_tensors_takes_all() -> None:
    model = function("def forward(first, rest: List[Tensor]):\n    return [first] + rest\n")
    assert model.input_names == ()
    assert model.output_names == ()
    assert len(model.run([ONES] * 4)) == 4
    with pytest.raises(ModelRuntimeError) as raised:
        model.run([])
    assert str(raised.value) == WRONG_INPUTS


def test_the_number_of_outputs_is_known_where_the_type_says_it() -> None:
    assert function("def forward(x):\n    return x, (x, x)\n").output_names == ("", "", "")
    assert function("def forward(x):\n    return x, [x, x]\n").output_names == ()
    assert len(function("def forward(x):\n    return x, [x, x]\n").run([ONES])) == 3


def test_parameters_of_the_model_and_parts_of_tensors_can_be_outputs() -> None:
    model = load(torch.nn.Flatten())
    assert model.run([ONES.reshape(1, 3, 1)])[0].tolist() == [[1, 1, 1]]
    (turned,) = function("def forward(x):\n    return x.t()\n").run([np.arange(6.0).reshape(2, 3)])
    assert turned.flags.c_contiguous
    assert turned.tolist() == [[0, 3], [1, 4], [2, 5]]
    (scalar,) = function("def forward(x):\n    return x.sum()\n").run([ONES])
    assert scalar.shape == ()


def test_inputs_are_not_copied() -> None:
    x = ONES.copy()
    (y,) = function("def forward(x):\n    return x.add_(1)\n").run([x])
    assert np.shares_memory(x, y)


def test_what_is_returned_has_to_be_tensors() -> None:
    with pytest.raises(ModelRuntimeError, match="^ERR the model returned a dict"):
        function("def forward(x):\n    return {'y': x}\n").run([ONES])
    with pytest.raises(ModelRuntimeError, match="^ERR .*BFloat16"):
        function("def forward(x):\n    return x.to(torch.bfloat16)\n").run([ONES])


def test_what_is_taken_has_to_be_tensors() -> None:
    forward = torch.jit.CompilationUnit("def forward(x, n: int):\n    return x\n").forward
    with pytest.raises(ModelRuntimeError, match="^ERR the TORCH backend cannot load .* something else than tensors"):
        TorchRuntime().load(ModelBlob(forward.save_to_buffer()), "CPU")
    with pytest.raises(ValueError, match="^the TORCH backend cannot load .* something else than tensors"):
        TorchSerializer().serialize(forward)


class Trap:
    """Makes a directory when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self._path,)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    blobs = [pickle.dumps(Trap(tmp_path / "trap"))]
    for zipped in (True, False):
        file = io.BytesIO()
        torch.save({"x": Trap(tmp_path / "trap")}, file, _use_new_zipfile_serialization=zipped)
        blobs.append(file.getvalue())
    for blob in blobs:
        with pytest.raises(ModelRuntimeError, match="^ERR the TORCH backend cannot load the model"):
            TorchRuntime().load(ModelBlob(blob), "CPU")
    assert not (tmp_path / "trap").exists()


class Potential(torch.nn.Module):  # type: ignore[misc,unused-ignore]  # see above
    """An energy in, the force out."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        place = x.detach().clone().requires_grad_()
        force = torch.autograd.grad([-(place**2).sum()], [place])[0]
        assert force is not None  # so TorchScript learns that it is a tensor
        return force


def test_a_model_may_differentiate() -> None:
    assert load(Potential()).run([ONES])[0].tolist() == [[-2, -2, -2]]


def test_threads_are_set_by_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = [1]
    together = Barrier(2)

    def count() -> int:
        known = counts[-1]
        if len(counts) == 1:
            with suppress(BrokenBarrierError):  # let the other one look, too, if nothing keeps it
                together.wait(0.2)
        return known

    def set_count(number: int) -> None:
        if len(counts) > 1:
            raise RuntimeError("cannot set number of interop threads after parallel work has started")
        counts.append(number)

    fake = SimpleNamespace(get_num_interop_threads=count, set_num_interop_threads=set_count)
    monkeypatch.setattr(torch_calls, "imported_to_run", lambda *_: fake)
    with ThreadPoolExecutor(2) as threads:
        loads = [threads.submit(torch_calls.imported_torch, Parallelism(inter_op=3)) for _ in range(2)]
        assert [load.result(10) for load in loads] == [fake, fake]
    assert counts == [1, 3]


def test_threads_are_as_many_as_asked_for() -> None:
    before = torch.get_num_threads()
    try:
        TorchRuntime(Parallelism(intra_op=1)).load(ModelBlob(TorchSerializer().serialize(Scaled()).blob), "CPU")
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_module_that_cannot_be_compiled_can_be_traced() -> None:
    class Odd(torch.nn.Module):  # type: ignore[misc,unused-ignore]  # see above
        def forward(self, *given: Any) -> Any:
            return sum(given) * 2

    with pytest.raises(ValueError, match="(?s)TorchScript cannot compile the Odd: .*example inputs"):
        TorchSerializer().serialize(Odd())
    example = (torch.ones(1, 3), torch.ones(1, 3))
    made = TorchSerializer(example).serialize(Odd())
    assert made == TorchSerializer(example).serialize(Odd())
    assert len(made.inputs) == 2
    assert TorchRuntime().load(ModelBlob(made.blob), "CPU").run([ONES, ONES])[0].tolist() == [[4, 4, 4]]


def test_compiled_modules_are_taken_as_they_are() -> None:
    scripted = torch.jit.script(Scaled())
    assert TorchSerializer().serialize(scripted).inputs == ("x",)


def plain(a, b):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - as users write them
    """Adds."""
    return a + b


def test_functions_become_source() -> None:
    def within(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - as users write them
        return x

    assert function_source(plain).startswith("def plain(a, b):")
    assert function_source(plain).endswith("return a + b\n")
    assert function_source(within).splitlines()[1] == "    return x"
    assert function_source(test_inputs_are_not_copied).startswith("def test_inputs")
    with pytest.raises(ValueError, match="def statement"):
        function_source(lambda x: x)
    with pytest.raises(ValueError, match="is not to be had"):
        function_source(len)
