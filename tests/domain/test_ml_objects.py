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


class TestUploads:
    """Objects as a database takes them."""

    SAME = DBModel("m", "TF", b"blob", None, "GPU", 2, 1, 8, 4, 100, "v1", ["x"], ["y"])

    @pytest.mark.parametrize(
        "other",
        [
            DBModel("n", "TF", b"blob", None, "GPU", 2, 1, 8, 4, 100, "v1", ["x"], ["y"]),
            DBModel("m", "ONNX", b"blob", None, "GPU", 2, 1, 8, 4, 100, "v1", ["x"], ["y"]),
            DBModel("m", "TF", b"blob", None, "GPU", 3, 1, 8, 4, 100, "v1", ["x"], ["y"]),
            DBModel("m", "TF", b"blob", None, "GPU", 2, 0, 8, 4, 100, "v1", ["x"], ["y"]),
            DBModel("m", "TF", b"blob", None, "GPU", 2, 1, 9, 4, 100, "v1", ["x"], ["y"]),
            DBModel("m", "TF", b"blob", None, "GPU", 2, 1, 8, 4, 100, "v2", ["x"], ["y"]),
            DBModel("m", "TF", b"blob", None, "GPU", 2, 1, 8, 4, 100, "v1", ["x", "y"], []),
            DBScript("m", "blob", None, "GPU", 2, 1),
        ],
    )
    def test_whatever_the_database_would_keep_tells_them_apart(self, other: DBModel | DBScript) -> None:
        mine, others = self.SAME.upload(b"blob", "one"), other.upload(b"blob", "one")
        assert mine != others
        assert mine.digest != others.digest
        assert not self.SAME.is_same(other)

    def test_who_brings_it_and_from_where_does_not(self) -> None:
        from_file = DBModel("m", "TF", None, "/m.pb", "gpu", 2, 1, 8, 4, 100, "v1", "x", "y")
        mine, other = self.SAME.upload(b"blob", "one"), from_file.upload(b"blob", "two")
        assert (mine, mine.digest) == (other, other.digest)
        assert (mine.file, other.file) == (None, "/m.pb")
        assert not self.SAME.is_same(from_file)  # without a look at the content nobody knows

    def test_other_content_is_another(self) -> None:
        mine, other = self.SAME.upload(b"blob", "one"), self.SAME.upload(b"glob", "one")
        assert mine != other
        assert mine.digest != other.digest
        assert "blob" not in repr(mine)

    def test_the_same_object_in_memory_is_the_same(self) -> None:
        content = object()
        one, two, three = (DBModel("m", "TORCH", given) for given in (content, content, object()))
        assert one.is_same(two)
        assert not one.is_same(three)

    def test_the_kind_is_told(self) -> None:
        assert self.SAME.upload(b"", "m").kind == "model"
        assert DBScript("f", "def f(): pass").upload(b"", "m").kind == "script"
