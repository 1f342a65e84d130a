from __future__ import annotations

from typing import Any

import pytest

from smartsim.domain.errors import SSUnsupportedError
from smartsim.domain.ml_objects import DBModel, DBScript


@pytest.mark.parametrize("backend", ["TF", "TORCH", "ONNX", "TFLITE", "torch", "Onnx"])
def test_backends_are_known_in_either_case(backend: str) -> None:
    assert DBModel("cnn", backend, b"blob").backend == backend.upper()


@pytest.mark.parametrize("backend", ["JAX", "", None, 3])
def test_an_unknown_backend_is_refused_with_those_that_are_known(backend: Any) -> None:
    with pytest.raises(ValueError, match="TF, TFLITE, TORCH, ONNX"):
        DBModel("cnn", backend, b"blob")


@pytest.mark.parametrize(
    ("device", "per_node", "first", "devices"),
    [
        ("CPU", 1, 0, ["CPU"]),
        ("cpu", 1, 0, ["CPU"]),
        ("GPU", 1, 0, ["GPU"]),
        ("gpu", 3, 1, ["GPU:1", "GPU:2", "GPU:3"]),
        ("GPU:5", 1, 0, ["GPU:5"]),
    ],
)
def test_devices(device: str, per_node: int, first: int, devices: list[str]) -> None:
    assert DBScript("f", "def f(): pass", None, device, per_node, first).devices == devices
    assert DBModel("m", "TF", b"blob", None, device, per_node, first).devices == devices


@pytest.mark.parametrize("device", ["TPU", "", "GPU:", "GPU:x", "GPUs", None, 0])
def test_an_unknown_device_is_refused(device: Any) -> None:
    with pytest.raises(ValueError, match="Device argument must start with either CPU or GPU"):
        DBScript("f", "def f(): pass", device=device)


@pytest.mark.parametrize(("per_node", "first"), [(2, 0), (1, 1)])
def test_there_is_one_cpu(per_node: int, first: int) -> None:
    with pytest.raises(SSUnsupportedError, match="they are for GPUs"):
        DBScript("f", "def f(): pass", None, "cpu", per_node, first)


def test_a_single_device_is_one_device() -> None:
    with pytest.raises(ValueError, match="use device='GPU'"):
        DBScript("f", "def f(): pass", None, "GPU:1", 2)


@pytest.mark.parametrize(
    ("number", "value", "error"),
    [
        ("devices_per_node", 0, ValueError),
        ("first_device", -1, ValueError),
        ("batch_size", -1, ValueError),
        ("min_batch_size", "1", TypeError),
        ("min_batch_timeout", 1.5, TypeError),
    ],
)
def test_numbers_are_whole_and_in_range(number: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=number):
        DBModel("m", "TF", b"blob", **{number: value})


def test_the_content_is_in_memory_or_in_a_file() -> None:
    in_memory, in_file = DBModel("m", "TF", b"blob"), DBModel("m", "TF", model_file="/m.pb")
    assert (in_memory.is_file, in_memory.model, in_memory.file_path) == (False, b"blob", None)
    assert (in_file.is_file, in_file.model, in_file.file_path) == (True, None, "/m.pb")


@pytest.mark.parametrize("empty", [None, b"", ""])
def test_a_model_without_content_is_refused(empty: Any) -> None:
    with pytest.raises(ValueError, match="^Either model or model_file must be provided$"):
        DBModel("m", "TF", empty)


@pytest.mark.parametrize("empty", [None, ""])
def test_a_script_without_content_is_refused(empty: Any) -> None:
    with pytest.raises(ValueError, match="^Either script or script_path must be provided$"):
        DBScript("f", empty)


def test_a_script_is_text_or_a_function() -> None:
    def double(x: int) -> int:
        return 2 * x

    assert DBScript("f", double).script is double
    assert DBScript("f", "def f(): pass").func == "def f(): pass"
    three: Any = 3
    with pytest.raises(TypeError, match="must be a str or a function"):
        DBScript("f", three)


@pytest.mark.parametrize(("given", "kept"), [(None, []), ("x", ["x"]), (["x", "y"], ["x", "y"])])
def test_nodes_are_a_list_of_names(given: Any, kept: list[str]) -> None:
    model = DBModel("m", "TF", b"blob", inputs=given, outputs=given)
    assert (model.inputs, model.outputs) == (kept, kept)


def test_nodes_of_another_type_are_refused() -> None:
    numbers: Any = [1]
    with pytest.raises(TypeError, match="inputs must be a str or a list of str"):
        DBModel("m", "TF", b"blob", inputs=numbers)


@pytest.mark.parametrize(("name", "error"), [("", ValueError), (None, TypeError), (3, TypeError)])
def test_the_name_is_a_key(name: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="the name of a database object"):
        DBScript(name, "def f(): pass")
