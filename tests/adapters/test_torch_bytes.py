"""Torch modules as bytes: the same ones always, and of the same meaning."""

from __future__ import annotations

import ast
import io
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from smartsim.adapters.ml.torch_names import renamed
from smartsim.adapters.ml.torch_runtime import TorchRuntime
from smartsim.adapters.ml.torch_serializer import TorchSerializer
from smartsim.ports.model_runtime import ModelBlob

# torch says of all of TorchScript that it is deprecated; it is what the database's clients send.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated:DeprecationWarning")


class Kept(torch.nn.Module):  # type: ignore[misc,unused-ignore]  # see above
    """Restores itself, as quantised layers do, without doing harm."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.full((3,), 5.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale

    @torch.jit.export
    def __getstate__(self) -> tuple[torch.Tensor, bool]:
        return self.scale, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]) -> None:
        self.scale = state[0]
        self.training = state[1]


class Layers(torch.nn.Module):  # type: ignore[misc,unused-ignore]  # see above
    """Several classes of one name: each length makes a sequence of its own."""

    def __init__(self, last: Any) -> None:
        super().__init__()
        self.blocks = torch.nn.ModuleList(
            [torch.nn.Sequential(torch.nn.Linear(3, 3), *[torch.nn.ReLU()] * i) for i in range(3)]
        )
        self.last = last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(doubled(x))
        y: torch.Tensor = self.last(x)
        return y


def doubled(x: torch.Tensor) -> torch.Tensor:
    return x * 2


def layers(last: Any) -> Any:
    torch.manual_seed(1)
    return Layers(last)


def bytes_of(names: str) -> dict[str, str]:
    """The hashes of models' bytes, made in this order."""
    models = {
        "a": layers(torch.nn.Tanh()),
        "b": layers(torch.nn.Sequential(torch.nn.LayerNorm(3), torch.nn.Conv1d(1, 1, 1))),
        "c": torch.nn.Sequential(layers(torch.nn.Sequential()), torch.nn.Sequential(torch.nn.ReLU())),
    }
    for parameter in models["b"].last[1].parameters():
        torch.nn.init.ones_(parameter)
    return {name: sha256(TorchSerializer().serialize(models[name]).blob).hexdigest() for name in names}


def test_bytes_do_not_depend_on_what_was_serialized_before() -> None:
    expected = bytes_of("abc")
    assert expected == bytes_of("cba") == bytes_of("bca")
    for seed, order in (("1", "cab"), ("2", "acb")):
        script = f"from {__name__} import bytes_of; print(bytes_of({order!r}))"
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
            env=os.environ
            | {
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[__name__.count(".")]), *sys.path]),
            },
        )
        assert ast.literal_eval(done.stdout) == expected


def test_names_in_types_of_lists_are_renamed_too() -> None:
    tag = b"List[__torch__.___torch_mangle_12.Pair]"
    records = {
        "data.pkl": b"\x80\x02c__torch__.___torch_mangle_7\nNet\nX\x27\0\0\0" + tag + b"t.",
        "code/__torch__/___torch_mangle_7.py": b"class Net(Module):\n  pairs : " + tag + b"\n",
        "code/__torch__/___torch_mangle_12.py": b"class Pair(NamedTuple):\n  a : int\n",
        "data/0": b"__torch__.___torch_mangle_7.Net",
    }
    assert renamed(records) == {
        "data.pkl": b"\x80\x02c__torch__\nNet\nX\x14\0\0\0List[__torch__.Pair]t.",
        "code/__torch__.py": b"class Net(Module):\n  pairs : List[__torch__.Pair]\n"
        b"class Pair(NamedTuple):\n  a : int\n",
        "data/0": b"__torch__.___torch_mangle_7.Net",
    }


@pytest.mark.parametrize("model", [layers(torch.nn.Tanh()), layers(Kept()), Kept(), torch.nn.Linear(3, 2)])
def test_what_is_serialized_is_what_torch_saves(model: Any) -> None:
    x = np.random.default_rng(1).standard_normal((4, 3)).astype(np.float32)
    for _ in range(2):
        (y,) = TorchRuntime().load(ModelBlob(TorchSerializer().serialize(model).blob), "CPU").run([x.copy()])
        assert y.tolist() == model.eval()(torch.from_numpy(x)).tolist()
        script = torch.jit.load(io.BytesIO(TorchSerializer().serialize(model).blob))
        assert list(script.state_dict()) == list(torch.jit.script(model).state_dict())
