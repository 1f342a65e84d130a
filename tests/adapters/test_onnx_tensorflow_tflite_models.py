"""What is particular to ONNX, TensorFlow and TFLite models."""

from __future__ import annotations

from importlib import import_module
from itertools import repeat
from pathlib import Path
from threading import Event
from time import monotonic, process_time
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import ml_models
from smartsim.adapters.ml.onnx_runtime import OnnxRuntime
from smartsim.adapters.ml.onnx_serializer import OnnxSerializer
from smartsim.adapters.ml.tensorflow_operations import _COMPUTING, check_operations
from smartsim.adapters.ml.tensorflow_runtime import TensorFlowRuntime
from smartsim.adapters.ml.tensorflow_serializer import TensorFlowSerializer
from smartsim.adapters.ml.tflite_runtime import TfliteRuntime
from smartsim.ports.model_runtime import ModelBlob, ModelRuntimeError, Parallelism

ONES = np.ones((2, 4), np.float32)


def onnx_model(nodes: list[Any], output: Any, initializers: list[Any] | None = None) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes, "graph", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])], [output], initializers or []
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def test_the_provider_that_is_really_used_is_reported() -> None:
    lines: list[str] = []
    assert OnnxRuntime(log=lines.append).load(ml_models.mlp("ONNX"), "CPU").provider == "CPUExecutionProvider"
    assert lines == ["An ONNX model for CPU runs by CPUExecutionProvider"]


def test_an_onnx_model_keeps_no_processor_busy_between_runs() -> None:
    model = OnnxRuntime(Parallelism(intra_op=2, inter_op=2)).load(ml_models.mlp("ONNX"), "CPU")
    x = np.ones((64, ml_models.FEATURES), np.float32)
    model.run([x.copy()])
    begin, used = monotonic(), process_time()
    for _ in repeat(None, 30):
        model.run([x.copy()])
        Event().wait(0.02)  # what is measured: that nothing happens
    assert process_time() - used < (monotonic() - begin) / 3


@pytest.mark.parametrize("way", ["weights", "../weights", "absolute", "up"])
def test_an_onnx_model_reads_no_files(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights").write_bytes(np.ones((4, 4), np.float32).tobytes())
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path if way == "weights" else tmp_path / "here")
    location = {"absolute": f"{tmp_path}/weights", "up": f"{'../' * 20}{tmp_path}/weights"}.get(way, way)
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 4], data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value=location)
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 4])
    model = onnx_model([helper.make_node("MatMul", ["x", "w"], ["y"])], output, [weights])
    with pytest.raises(ModelRuntimeError, match="^ERR the ONNX backend cannot load the model: .*xternal"):
        OnnxRuntime().load(ModelBlob(model.SerializeToString()), "CPU")
    with pytest.raises(ValueError, match="^the ONNX backend cannot load the model: .*xternal"):
        OnnxSerializer().serialize(model)


def test_what_an_onnx_model_returns_has_to_be_tensors() -> None:
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    model = onnx_model([helper.make_node("SequenceConstruct", ["x", "x"], ["y"])], helper.make_value_info("y", kind))
    with pytest.raises(ModelRuntimeError, match="^ERR the output y is a list, not a tensor"):
        OnnxRuntime().load(ModelBlob(model.SerializeToString()), "CPU").run([ONES.copy()])


def test_onnx_models_come_as_objects_bytes_and_files(tmp_path: Path) -> None:
    blob = ml_models.mlp("ONNX").blob
    path = tmp_path / "mlp.onnx"
    path.write_bytes(blob)
    made = OnnxSerializer().serialize(blob)
    assert made.inputs == ("r0",)
    assert made.outputs == ("g2",)
    assert made == OnnxSerializer().serialize(path) == OnnxSerializer().serialize(str(path))
    assert made == OnnxSerializer().serialize(onnx.load_from_string(blob))


@pytest.mark.parametrize("suffix", ["", ":0"])
def test_nodes_are_named_with_or_without_their_output(suffix: str) -> None:
    model = ml_models.affine("TF")
    named = ModelBlob(model.blob, tuple(n + suffix for n in model.inputs), tuple(n + suffix for n in model.outputs))
    loaded = TensorFlowRuntime().load(named, "CPU")
    assert loaded.input_names == named.inputs
    assert loaded.run([ONES.copy()])[0].tolist() == [[3] * 4] * 2


@pytest.mark.parametrize("bad", ["nope", "x:1", "x:y", "", "a b", "\0"])
@pytest.mark.parametrize("what", ["INPUTS", "OUTPUTS"])
def test_a_node_that_a_graph_does_not_have_is_named(bad: str, what: str) -> None:
    model = ml_models.affine("TF")
    names = ((bad,), model.outputs) if what == "INPUTS" else (model.inputs, (bad,))
    with pytest.raises(ModelRuntimeError, match=f"^ERR {what} names ") as raised:
        TensorFlowRuntime().load(ModelBlob(model.blob, *names), "CPU")
    assert repr(bad) in str(raised.value)


def test_inputs_that_are_missing_or_named_twice_are_told() -> None:
    model = ml_models.sum_and_difference("TF")
    with pytest.raises(ModelRuntimeError, match="fed more than once"):
        TensorFlowRuntime().load(ModelBlob(model.blob, ("x", "x"), model.outputs), "CPU")
    with pytest.raises(ModelRuntimeError, match="^ERR .*must feed a value"):
        TensorFlowRuntime().load(ModelBlob(model.blob, ("x",), model.outputs), "CPU").run([ONES.copy()])


def test_nodes_come_in_the_order_of_their_names_and_outputs_also_twice() -> None:
    model = ml_models.sum_and_difference("TF")
    loaded = TensorFlowRuntime().load(ModelBlob(model.blob, ("y", "x"), ("difference", "sum", "difference")), "CPU")
    difference, total, again = loaded.run([ONES.copy(), ONES * 5])
    assert difference.tolist() == again.tolist() == [[4] * 4] * 2
    assert total.tolist() == [[6] * 4] * 2


def test_models_of_keras_with_loops_and_many_inputs_are_frozen() -> None:
    tf: Any = import_module("tensorflow")

    keras = tf.keras
    loop = keras.Sequential([keras.Input((5, 3)), keras.layers.LSTM(4), keras.layers.Dense(2)])
    one, other = keras.Input((4,)), keras.Input((4,))
    many = keras.Model([one, other], [one + other, one - other])
    steps = np.random.default_rng(1).standard_normal((2, 5, 3)).astype(np.float32)
    for model, inputs, expected in (
        (loop, [steps], [loop(steps).numpy()]),
        (many, [ONES, 3 * ONES], [4 * ONES, -2 * ONES]),
    ):
        made = TensorFlowSerializer().serialize(model)
        assert made == TensorFlowSerializer().serialize(model)
        assert made.inputs == tuple(f"args_{i}" for i in range(len(inputs)))
        loaded = TensorFlowRuntime().load(ModelBlob(made.blob, made.inputs, made.outputs), "CPU")
        for y, wanted in zip(loaded.run([x.copy() for x in inputs]), expected, strict=True):
            assert np.allclose(y, wanted, atol=1e-6)


def test_saved_models_and_functions_are_frozen(tmp_path: Path) -> None:
    tf: Any = import_module("tensorflow")

    class Module(tf.Module):  # type: ignore[misc]  # tensorflow has no types
        def __init__(self) -> None:
            super().__init__()
            self.scale = tf.Variable(2.0)

        @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32)])  # type: ignore[untyped-decorator]
        def __call__(self, x: Any) -> Any:
            return x * self.scale + 1

    module = Module()
    tf.saved_model.save(module, str(tmp_path / "saved"))
    bound = module.__call__
    for model in (tmp_path / "saved", tf.saved_model.load(str(tmp_path / "saved")), bound):
        made = TensorFlowSerializer().serialize(model)
        loaded = TensorFlowRuntime().load(ModelBlob(made.blob, made.inputs, made.outputs), "CPU")
        assert loaded.run([ONES.copy()])[0].tolist() == [[3] * 4] * 2


def test_keras_models_that_do_not_know_their_inputs_are_refused() -> None:
    tf: Any = import_module("tensorflow")

    with pytest.raises(ValueError, match="does not know its inputs: build it"):
        TensorFlowSerializer().serialize(tf.keras.Sequential([tf.keras.layers.Dense(3)]))


def test_a_tflite_model_made_for_one_row_takes_any_number() -> None:
    tf: Any = import_module("tensorflow")

    model = tf.keras.Sequential([tf.keras.Input((4,), batch_size=1), tf.keras.layers.Dense(2)])
    traced = tf.function(model).get_concrete_function(tf.TensorSpec((1, 4), tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced])
    loaded = TfliteRuntime().load(ModelBlob(bytes(converter.convert())), "CPU")
    for rows in (3, 1, 50):
        x = np.random.default_rng(rows).standard_normal((rows, 4)).astype(np.float32)
        assert np.allclose(loaded.run([x.copy()])[0], x @ model.get_weights()[0], atol=1e-5)
    with pytest.raises(ModelRuntimeError, match=r"takes tensors of the shape \(1, 4\), not \(3, 5\)"):
        loaded.run([np.ones((3, 5), np.float32)])


def graph_of(build: Any) -> bytes:
    """A graph with the placeholder x and what this makes of it, called y."""
    tf: Any = import_module("tensorflow")
    graph = tf.Graph()
    with graph.as_default():
        tf.identity(build(tf.compat.v1.placeholder(tf.float32, (None, 4), "x")), "y")
    return bytes(graph.as_graph_def().SerializeToString())


def test_a_graph_that_reads_a_file_is_refused(tmp_path: Path) -> None:
    tf: Any = import_module("tensorflow")
    (tmp_path / "secret").write_text("password")

    def read(x: Any) -> Any:
        with tf.name_scope("trap"):
            content = tf.io.decode_raw(tf.io.read_file(str(tmp_path / "secret")), tf.uint8)
        return x + tf.cast(content[0], tf.float32)

    @tf.function  # type: ignore[untyped-decorator]
    def within(x: Any) -> Any:
        return tf.cond(tf.reduce_sum(x) > 0, lambda: read(x), lambda: x)

    for build in (read, within):
        with pytest.raises(ModelRuntimeError, match="^ERR the TF backend cannot load .*trap/ReadFile is a ReadFile"):
            TensorFlowRuntime().load(ModelBlob(graph_of(build), ("x",), ("y",)), "CPU")
    with pytest.raises(ValueError, match="^the node .*ReadFile is a ReadFile, which may reach files"):
        TensorFlowSerializer().serialize(within.get_concrete_function(tf.TensorSpec((None, 4), tf.float32)))


def test_a_graph_that_calls_python_is_refused() -> None:
    tf: Any = import_module("tensorflow")

    called: list[Any] = []
    blob = graph_of(lambda x: tf.numpy_function(called.append, [x], tf.float32))
    with pytest.raises(ModelRuntimeError, match="is a (Eager)?PyFunc, which may reach files, the network or Python"):
        TensorFlowRuntime().load(ModelBlob(blob, ("x",), ("y",)), "CPU")
    assert called == []


@pytest.mark.parametrize(
    "operation",
    """
    WriteFile MatchingFiles Save SaveV2 SaveSlices Restore RestoreV2 RestoreSlice MergeV2Checkpoints LoadAndRemapMatrix
    GenerateVocabRemapping ImmutableConst InitializeTableFromTextFile InitializeTableFromTextFileV2 WholeFileReaderV2
    TextLineDataset TFRecordDataset CacheDataset SnapshotDatasetV2 SqlDataset DatasetFromGraph DecodeProtoV2 PrintV2
    CreateSummaryFileWriter DebugIdentity DebugIdentityV2 DumpTensor FileSystemSetConfiguration EagerPyFunc PyFunc
    PyFuncStateless RpcCall RpcServer DataServiceDatasetV4 RegisterDataset Send Recv _Send _Recv RemoteCall
    CollectiveReduceV2 XlaCallModule XlaCustomCall Abort
    """.split(),  # noqa: SIM905 - as above
)
def test_operations_that_do_more_than_compute_are_refused(operation: str) -> None:
    definition: Any = import_module("tensorflow").compat.v1.GraphDef()
    function = definition.library.function.add()
    for place in (definition.node, function.node_def):
        del definition.node[:]
        place.add(name="trap", op=operation)
        with pytest.raises(ValueError, match=f"^the node trap is a {operation}, which may reach"):
            check_operations(definition)


def test_operations_are_excepted_for_a_reason() -> None:
    registry: Any = import_module("tensorflow.python.framework.op_def_registry")
    for name in _COMPUTING:
        operation = registry.get(name)
        text = [*(argument.type for argument in operation.input_arg), *(each.type for each in operation.attr)]
        assert operation.is_stateful or {"string", "list(string)", 7} & set(text), name


def test_chance_and_branches_are_no_reason_to_refuse_a_graph() -> None:
    tf: Any = import_module("tensorflow")

    def build(x: Any) -> Any:
        chance = tf.random.uniform(()) + tf.random.normal(()) * 0 + 2
        return tf.cond(chance > 1, lambda: tf.einsum("ij->ij", x), lambda: -x)

    loaded = TensorFlowRuntime().load(ModelBlob(graph_of(build), ("x",), ("y",)), "CPU")
    assert loaded.run([ONES.copy()])[0].tolist() == ONES.tolist()


def test_a_tflite_model_gets_no_operations_of_tensorflow(tmp_path: Path) -> None:
    tf: Any = import_module("tensorflow")
    (tmp_path / "secret").write_text("password")

    read = tf.function(lambda x: x + tf.cast(tf.strings.length(tf.io.read_file(f"{tmp_path}/secret")), tf.float32))
    traced = read.get_concrete_function(tf.TensorSpec((4,), tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    with pytest.raises(ModelRuntimeError, match="^ERR the TFLITE backend cannot load the model: .*FlexReadFile"):
        TfliteRuntime().load(ModelBlob(bytes(converter.convert())), "CPU")
