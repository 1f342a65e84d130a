"""Frozen graphs of TensorFlow."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from smartsim.adapters.ml.framework import check_dtypes, failure, gpu_index, imported_to_run
from smartsim.adapters.ml.tensorflow_operations import check_operations
from smartsim.ports.model_runtime import WRONG_INPUTS, ModelBlob, ModelRuntimeError, Parallelism

if TYPE_CHECKING:
    import numpy.typing as npt

TF: Final = "TF"
_CALLING_THREAD: Final = -1


class TensorFlowRuntime:
    """Runs graphs without variables, from named nodes to named nodes.

    A session runs the operations one after the other in the thread that calls, unless several threads are asked for:
    for a small model that takes a quarter of the time, and each operation uses several threads by itself.

    Args:
        parallelism: the threads that TensorFlow may use. What the first model of a process gets, all get.
    """

    backend = TF

    def __init__(self, parallelism: Parallelism = Parallelism()) -> None:  # noqa: B008 - it is frozen
        self._parallelism = parallelism

    def load(self, model: ModelBlob, device: str) -> TensorFlowModel:
        """Load a graph; see `ModelRuntime.load`. Names of nodes may end with ``:<output>``."""
        tf = imported_to_run("tensorflow", "tensorflow")
        gpu = gpu_index(device)
        if gpu is not None and gpu >= len(tf.config.list_physical_devices("GPU")):
            raise ModelRuntimeError(f"ERR {device} requested but TensorFlow does not find it")
        definition = tf.compat.v1.GraphDef()
        graph = tf.Graph()
        try:
            definition.ParseFromString(model.blob)
            check_operations(definition)
            with graph.as_default(), tf.device("/CPU:0" if gpu is None else f"/GPU:{gpu}"):
                tf.graph_util.import_graph_def(definition, name="")
            inputs = [_tensor_name(graph, "INPUTS", name) for name in model.inputs]
            outputs = [_tensor_name(graph, "OUTPUTS", name) for name in model.outputs]
            return TensorFlowModel(self._session(tf, graph, gpu), inputs, outputs, model)
        except ModelRuntimeError:
            raise
        except Exception as error:
            raise failure(error, "the TF backend cannot load the model, which has to be a frozen graph") from error

    def _session(self, tf: Any, graph: Any, gpu: int | None) -> Any:
        config = tf.compat.v1.ConfigProto(
            intra_op_parallelism_threads=self._parallelism.intra_op,
            inter_op_parallelism_threads=self._parallelism.inter_op
            if self._parallelism.inter_op > 1
            else _CALLING_THREAD,
            allow_soft_placement=True,
            device_count={"GPU": 0} if gpu is None else {},
        )
        config.gpu_options.allow_growth = True
        return tf.compat.v1.Session(graph=graph, config=config)


class TensorFlowModel:
    """A graph in a session; see `LoadedModel`."""

    def __init__(self, session: Any, inputs: list[str], outputs: list[str], model: ModelBlob) -> None:
        options = import_module("tensorflow.core.protobuf.config_pb2").CallableOptions(feed=inputs, fetch=outputs)
        # What is public (`Session.run`, `Session.make_callable`) does the same with 40 us of Python on top, per call.
        self._run = session._make_callable_from_options(options)  # noqa: SLF001 - see above
        weakref.finalize(self, session.close)  # at the latest before Python takes its modules apart
        self._input_names = model.inputs
        self._output_names = model.outputs

    @property
    def input_names(self) -> tuple[str, ...]:
        """As they were given."""
        return self._input_names

    @property
    def output_names(self) -> tuple[str, ...]:
        """As they were given."""
        return self._output_names

    def run(self, inputs: Sequence[npt.NDArray[Any]]) -> Sequence[npt.NDArray[Any]]:
        """Run the graph; see `LoadedModel.run`."""
        if len(inputs) != len(self._input_names):
            raise ModelRuntimeError(WRONG_INPUTS)
        check_dtypes(TF, inputs)
        try:
            outputs: list[npt.NDArray[Any]] = self._run(*inputs)
        except Exception as error:
            raise failure(error) from error
        return outputs


def _tensor_name(graph: Any, what: str, name: str) -> str:
    """Return the full name of the tensor that a node puts out.

    Raises:
        ModelRuntimeError: there is none.
    """
    try:
        return str(graph.get_tensor_by_name(name if ":" in name else f"{name}:0").name)
    except (KeyError, ValueError) as error:
        raise ModelRuntimeError(f"ERR {what} names {name!r}, which the graph does not have") from error
