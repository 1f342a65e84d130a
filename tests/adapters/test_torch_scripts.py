"""TorchScript functions: how they are called, and what clients are told when they cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from smartsim.adapters.ml.torch_scripts import TorchScriptRuntime
from smartsim.ports.model_runtime import LoadedScript, ModelRuntimeError

# torch says of all of TorchScript that it is deprecated; it is what the database's clients send.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated:DeprecationWarning")

Array = npt.NDArray[Any]

SOURCE = """
def plus(a, b):
    '''Adds.'''
    return a + b

def both(a, b: torch.Tensor):
    # Several outputs.
    return a + b, a - b

def as_list(a):
    return [a, a + 1, a + 2]

def nested(a):
    return a, [a + 1, a + 2]

def stacked(first, rest: List[Tensor]):
    return first + torch.stack(rest).sum(dim=0)

def joined(tensors: List[Tensor]):
    return torch.cat(tensors)

def maybe(a, b: Optional[Tensor] = None):
    return a if b is None else a + b

def list_first(tensors: List[Tensor], last):
    return last

def a_number(n: int):
    return n

def size(a):
    return a.size(0)

def words(a):
    return ["a"]

def nothing(a):
    print(math.pi)

def turned(a):
    return a.t()

def half(a):
    return a.to(torch.bfloat16)

def fails(a):
    if a.sum() > 0:
        raise ValueError("too large\\nby far")
    return a

def entry(tensors: List[Tensor], keys: List[str], args: List[str]):
    return tensors[0] * len(keys) + float(int(args[0]))

def two(tensors: List[Tensor], keys: List[str]):
    return tensors[0]

def swapped(keys: List[str], tensors: List[Tensor], args: List[str]):
    return tensors[0]
"""


@pytest.fixture(scope="module")
def script() -> LoadedScript:
    return TorchScriptRuntime().load(SOURCE, ["entry"], "CPU")


def call(
    script: LoadedScript, function: str, *inputs: Array, outputs: int = 1, list_start: int = -1
) -> Sequence[Array]:
    return script.call(function, inputs, (), (), list_start, outputs)


def values(*numbers: float) -> Array:
    return np.array(numbers, dtype=np.float32)


def test_functions_are_called_with_tensors_in_order(script: LoadedScript) -> None:
    (total,) = call(script, "plus", values(1, 2), values(10, 20))
    assert total.tolist() == [11, 22]
    assert [y.tolist() for y in call(script, "both", values(3), values(1), outputs=2)] == [[4], [2]]


@pytest.mark.parametrize("function", ["as_list", "nested"])
def test_outputs_may_be_lists_and_tuples(script: LoadedScript, function: str) -> None:
    assert [y.tolist() for y in call(script, function, values(1), outputs=3)] == [[1], [2], [3]]


@pytest.mark.parametrize("list_start", [-1, 1])
def test_a_list_takes_what_is_left(script: LoadedScript, list_start: int) -> None:
    (y,) = call(script, "stacked", values(1), values(10), values(100), list_start=list_start)
    assert y.tolist() == [111]
    (y,) = call(script, "joined", values(1), values(2, 3), list_start=list_start - 1 if list_start == 1 else -1)
    assert y.tolist() == [1, 2, 3]


def test_what_has_a_default_may_be_left_out(script: LoadedScript) -> None:
    assert call(script, "maybe", values(1))[0].tolist() == [1]
    assert call(script, "maybe", values(1), values(2))[0].tolist() == [3]


def test_an_entry_point_gets_tensors_keys_and_args(script: LoadedScript) -> None:
    (y,) = script.call("entry", [values(1, 2)], ["k1", "k2"], ["7"], -1, 1)
    assert y.tolist() == [9, 11]


def test_outputs_are_contiguous(script: LoadedScript) -> None:
    (y,) = call(script, "turned", np.arange(6, dtype=np.int64).reshape(2, 3))
    assert y.flags.c_contiguous
    assert y.tolist() == [[0, 3], [1, 4], [2, 5]]


def test_no_outputs_are_wanted_and_none_returned(script: LoadedScript, capfd: pytest.CaptureFixture[str]) -> None:
    assert list(call(script, "nothing", values(1), outputs=0)) == []
    assert capfd.readouterr().out.startswith("3.14159")


@pytest.mark.parametrize(
    ("function", "inputs", "list_start", "outputs", "text"),
    [
        ("missing", 1, -1, 1, "Function does not exist: missing"),
        ("plus", 1, -1, 1, "Wrong number of inputs provided to function: plus"),
        ("plus", 3, -1, 1, "Wrong number of inputs provided to function: plus"),
        ("plus", 2, 1, 1, "Wrong number of inputs provided to function: plus"),
        ("maybe", 3, -1, 1, "Wrong number of inputs provided to function: maybe"),
        ("stacked", 0, -1, 1, "Wrong number of inputs provided to function: stacked"),
        ("stacked", 3, 2, 1, "Wrong number of inputs provided to function: stacked"),
        ("a_number", 1, -1, 1, "Unsupported input type in function definition: a_number"),
        ("list_first", 2, -1, 1, "Unsupported input type in function definition: list_first"),
        ("plus", 2, -1, 2, "Function returned unexpected number of outputs - plus"),
        ("both", 2, -1, 1, "Function returned unexpected number of outputs - both"),
        ("nothing", 1, -1, 1, "Function returned unexpected number of outputs - nothing"),
        ("size", 1, -1, 1, "Function returned non-tensor values - size"),
        ("words", 1, -1, 1, "Function returned non-tensor values - words"),
    ],
)
def test_what_does_not_fit_is_refused(
    script: LoadedScript, function: str, inputs: int, list_start: int, outputs: int, text: str
) -> None:
    with pytest.raises(ModelRuntimeError) as raised:
        call(script, function, *[values(1)] * inputs, list_start=list_start, outputs=outputs)
    assert str(raised.value) == text


def test_an_error_in_a_function_carries_its_message_in_one_line(script: LoadedScript) -> None:
    with pytest.raises(ModelRuntimeError, match=r"^ERR [^\n]*too large by far[^\n]*$"):
        call(script, "fails", values(1))
    assert call(script, "fails", values(-1))[0].tolist() == [-1]
    with pytest.raises(ModelRuntimeError, match="BFloat16"):
        call(script, "half", values(1))


@pytest.mark.parametrize(("array", "name"), [(np.ones(1, np.uint16), "UINT16"), (np.array(["a"]), "STRING")])
def test_what_torch_does_not_take_is_refused(script: LoadedScript, array: Array, name: str) -> None:
    with pytest.raises(ModelRuntimeError, match=f"^ERR the TORCH backend does not take {name} tensors"):
        call(script, "size", array)


@pytest.mark.parametrize(
    ("entry_point", "text"),
    [
        ("missing", "Function missing does not exist in the given script."),
        ("two", "Wrong number of inputs in function two. Expected 3 but was 2"),
        (
            "swapped",
            (
                "Wrong inputs type in function swapped. Expected signature similar to: "
                "def swapped(tensors: List[Tensor], keys: List[str], args: List[str])"
            ),
        ),
    ],
)
def test_entry_points_are_checked(entry_point: str, text: str) -> None:
    with pytest.raises(ModelRuntimeError) as raised:
        TorchScriptRuntime().load(SOURCE, ["entry", entry_point], "CPU")
    assert str(raised.value) == text


@pytest.mark.parametrize(
    "source",
    [
        "def f(x: return",
        "import os\n",
        "def f(x):\n    return y\n",
        "def f(x):\n    return x\ndef f(x):\n    return x\n",
        "@decorated\ndef f(x):\n    return x\n",
        "\0",
        "\udcff",
    ],
)
def test_what_does_not_compile_is_refused(source: str) -> None:
    with pytest.raises(ModelRuntimeError, match=r"^ERR the script does not compile: [^\n]+$"):
        TorchScriptRuntime().load(source, [], "CPU")


@pytest.mark.parametrize(
    "expression",
    ["torch.os.getcwd()", "torch.os.system('true')", "torch.sys.exit(3)", "open('f')", "eval('1')", "SOURCE", "source"],
)
def test_a_script_does_not_get_at_python(expression: str) -> None:
    with pytest.raises(ModelRuntimeError, match="^ERR the script does not compile"):
        TorchScriptRuntime().load(f"def f(x):\n    {expression}\n    return x\n", [], "CPU")


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("def f(x):\n    return torch.from_file('secret', False, 8)\n", "f calls aten::from_file, which reads"),
        ("def f(x):\n    torch.save(x, 'stolen')\n    return x\n", "f calls aten::save, which writes files"),
        (
            "def f(x):\n    while x > 0:\n        if x > 1:\n            torch.save(x, 'stolen')\n    return x\n",
            "f calls aten::save, which writes files",
        ),
        (
            "def f(x):\n    return torch.jit.wait(torch.jit.fork(torch.from_file, 'secret'))\n",
            "f calls aten::from_file, which reads",
        ),
        (
            (
                "def f(x):\n    kind = torch.float\n    place = torch.device('cpu')\n"
                "    return torch.ops.debugprims.load_tensor('secret', [1], [1], dtype=kind, device=place)\n"
            ),
            "f calls debugprims::load_tensor, which is of no library for models",
        ),
        (
            "def f(x):\n    y = torch.classes._nnapi.Compilation()\n    y.init(x, [x])\n    return x\n",
            "f makes a torch.classes._nnapi.Compilation",
        ),
    ],
)
def test_a_script_may_only_compute(source: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_bytes(bytes(32))
    with pytest.raises(ModelRuntimeError, match=f"^ERR the script does not compile: the function {named}"):
        TorchScriptRuntime().load(source, [], "CPU")
    with pytest.raises(ModelRuntimeError, match="the function (f|g) "):
        TorchScriptRuntime().load(source.replace("def f(", "def g(") + "def f(x):\n    return g(x)\n", [], "CPU")
    assert not (tmp_path / "stolen").exists()


def test_operations_with_the_name_of_a_file_are_refused_also_when_they_are_new() -> None:
    torch: Any = import_module("torch")
    library = torch.library.Library("quantized", "FRAGMENT")
    library.define("from_elsewhere(str file_name) -> Tensor")
    with pytest.raises(ModelRuntimeError, match="calls quantized::from_elsewhere, which takes a file_name"):
        TorchScriptRuntime().load("def f(x):\n    return torch.ops.quantized.from_elsewhere('x')\n", [], "CPU")
    library._destroy()  # it has no public end


def test_a_script_may_differentiate() -> None:
    source = """
def slope(x):
    y = x.detach().clone().requires_grad_()
    slope = torch.autograd.grad([(y * y).sum()], [y])[0]
    assert slope is not None
    return slope
"""
    assert call(TorchScriptRuntime().load(source, [], "CPU"), "slope", values(1, 2))[0].tolist() == [2, 4]


def test_a_call_of_python_is_found_in_what_was_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text("import torch\n\n@torch.jit.ignore\ndef call(x):\n    return x\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(import_module("torch"), "planted", import_module("planted"), raising=False)
    within = "def g(x):\n    return torch.planted.call(x)\ndef f(x):\n    if x.sum() > 0:\n        g(x)\n    return x\n"
    for source in (within, "def g(x):\n    torch.planted.call(x)\n    return x\n"):
        with pytest.raises(
            ModelRuntimeError,
            match="^ERR the script does not compile: the function . calls prim::PythonOp, which calls Python",
        ):
            TorchScriptRuntime().load(source, [], "CPU")
