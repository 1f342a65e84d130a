"""Models."""

from __future__ import annotations

from collections.abc import Callable

from smartsim.app.client import models, programs, waiting
from smartsim.app.client.calls import Call
from smartsim.app.client.interface.naming import Naming, key
from smartsim.domain.client_errors import check_type
from smartsim.domain.keys import Prefixes

_Names = str | list[str] | None


class ProgramInterface(Naming):
    """What models and scripts have in common.

    Args:
        prefixes: those that the environment asks for.
        model_timeout: tells how long a run may take, in ms; asked for each run.
    """

    def __init__(self, prefixes: Prefixes, model_timeout: Callable[[], int]) -> None:
        super().__init__(prefixes)
        self._model_timeout = model_timeout

    def _program_to_read(self, name: str) -> str:
        return _program(self.prefixes.model_to_read, name)

    def _program_to_write(self, name: str) -> str:
        return _program(self.prefixes.model_to_write, name)

    def _inputs(self, names: _Names) -> list[str]:
        return [key(self.prefixes.tensor_to_read, name, "inputs") for name in programs.names(names, "inputs")]

    def _outputs(self, names: _Names) -> list[str]:
        return [key(self.prefixes.tensor_to_write, name, "outputs") for name in programs.names(names, "outputs")]


class ModelInterface(ProgramInterface):
    """Calls about models."""

    def set_model(
        self,
        name: str,
        model: bytes | str,
        backend: str,
        device: str = "CPU",
        batch_size: int = 0,
        min_batch_size: int = 0,
        min_batch_timeout: int = 0,
        tag: str = "",
        inputs: _Names = None,
        outputs: _Names = None,
    ) -> Call[None]:
        """Store a model, which a worker checks before it is kept.

        Args:
            name: under which it is run.
            model: serialized: TorchScript, an ONNX file, a TensorFlow frozen graph, a TFLite file.
            backend: TORCH, ONNX, TF or TFLITE.
            device: CPU, GPU or GPU:n.
            batch_size: run requests together until their first dimensions add up to this; 0 for never.
            min_batch_size: wait for so many before running; 0 for not at all.
            min_batch_timeout: the longest such wait, in ms.
            tag: a text of your own, kept with the model.
            inputs: names of the input nodes; for TF only.
            outputs: names of the output nodes; for TF only.

        Raises:
            TypeError: no such backend or device, or an argument of another type.
            ValueError: an empty name, or names of nodes for a backend that has none.
            RedisRuntimeError: the options do not fit together, or the worker refuses the model.

        Example:
            >>> client.set_model("surrogate", blob, "TORCH", batch_size=64)  # doctest: +SKIP
        """
        options = models.model_options(backend, batch_size, min_batch_size, min_batch_timeout, tag, inputs, outputs)
        return models.set_model(self._program_to_write(name), model, options, device)

    def set_model_from_file(
        self,
        name: str,
        model_file: str,
        backend: str,
        device: str = "CPU",
        batch_size: int = 0,
        min_batch_size: int = 0,
        min_batch_timeout: int = 0,
        tag: str = "",
        inputs: _Names = None,
        outputs: _Names = None,
    ) -> Call[None]:
        """Store the model in a file; otherwise as `set_model`.

        Raises:
            FileNotFoundError: there is no such file.

        Example:
            >>> client.set_model_from_file("surrogate", "surrogate.onnx", "ONNX", "GPU")  # doctest: +SKIP
        """
        model = programs.read_file(model_file, "model_file")
        return self.set_model(
            name, model, backend, device, batch_size, min_batch_size, min_batch_timeout, tag, inputs, outputs
        )

    def set_model_multigpu(
        self,
        name: str,
        model: bytes | str,
        backend: str,
        first_gpu: int,
        num_gpus: int,
        batch_size: int = 0,
        min_batch_size: int = 0,
        min_batch_timeout: int = 0,
        tag: str = "",
        inputs: _Names = None,
        outputs: _Names = None,
    ) -> Call[None]:
        """Store a model for several GPUs, to be run with `run_model_multigpu`; otherwise as `set_model`.

        Args:
            name: under which it is run.
            model: serialized.
            backend: TORCH, ONNX, TF or TFLITE.
            first_gpu: number of the first GPU.
            num_gpus: how many, counted from that.
            batch_size: as for `set_model`.
            min_batch_size: as for `set_model`.
            min_batch_timeout: as for `set_model`.
            tag: as for `set_model`.
            inputs: as for `set_model`.
            outputs: as for `set_model`.

        Raises:
            ValueError: `first_gpu` is negative, or `num_gpus` below one.
        """
        options = models.model_options(backend, batch_size, min_batch_size, min_batch_timeout, tag, inputs, outputs)
        return models.set_model_multigpu(self._program_to_write(name), model, options, first_gpu, num_gpus)

    def set_model_from_file_multigpu(
        self,
        name: str,
        model_file: str,
        backend: str,
        first_gpu: int,
        num_gpus: int,
        batch_size: int = 0,
        min_batch_size: int = 0,
        min_batch_timeout: int = 0,
        tag: str = "",
        inputs: _Names = None,
        outputs: _Names = None,
    ) -> Call[None]:
        """Store the model in a file for several GPUs; otherwise as `set_model_multigpu`.

        Raises:
            FileNotFoundError: there is no such file.
        """
        model = programs.read_file(model_file, "model_file")
        batching = (batch_size, min_batch_size, min_batch_timeout)
        return self.set_model_multigpu(name, model, backend, first_gpu, num_gpus, *batching, tag, inputs, outputs)

    def get_model(self, name: str) -> Call[bytes]:
        """Return a model, serialized as it was stored.

        Raises:
            RedisRuntimeError: there is none.
        """
        return models.get_model(self._program_to_read(name))

    def run_model(self, name: str, inputs: _Names = None, outputs: _Names = None) -> Call[None]:
        """Run a model on tensors of the database; its outputs become tensors of the database.

        Args:
            name: of the model.
            inputs: names of the tensors that it gets, in its order; read under the prefix of the data source.
            outputs: names of the tensors that it makes; written under the prefix of this client.

        Raises:
            RedisRuntimeError: there is no such model or tensor, or the run failed, with the framework's message; or it
                took longer than `SR_MODEL_TIMEOUT`.

        Example:
            >>> client.put_tensor("state", np.ones((1, 4), np.float32))  # doctest: +SKIP
            >>> client.run_model("surrogate", inputs=["state"], outputs=["next"])  # doctest: +SKIP
            >>> client.get_tensor("next")  # doctest: +SKIP
        """
        return models.run_model(
            self._program_to_read(name), self._inputs(inputs), self._outputs(outputs), self._model_timeout()
        )

    def run_model_multigpu(
        self,
        name: str,
        offset: int,
        first_gpu: int,
        num_gpus: int,
        inputs: _Names = None,
        outputs: _Names = None,
    ) -> Call[None]:
        """Run a model on one of several GPUs; otherwise as `run_model`.

        Args:
            name: of the model, as `set_model_multigpu` stored it.
            offset: which GPU: ``first_gpu + offset % num_gpus``. The rank of a process will do.
            first_gpu: as when it was stored.
            num_gpus: as when it was stored.
            inputs: as for `run_model`.
            outputs: as for `run_model`.
        """
        return models.run_model_multigpu(
            self._program_to_read(name),
            offset,
            first_gpu,
            num_gpus,
            self._inputs(inputs),
            self._outputs(outputs),
            self._model_timeout(),
        )

    def delete_model(self, name: str) -> Call[None]:
        """Remove a model.

        Raises:
            RedisRuntimeError: there is none.
        """
        return models.delete_model(self._program_to_read(name))

    def delete_model_multigpu(self, name: str, first_gpu: int, num_gpus: int) -> Call[None]:
        """Remove a model that `set_model_multigpu` stored.

        Raises:
            RedisRuntimeError: there is none.
        """
        return models.delete_model_multigpu(self._program_to_read(name), first_gpu, num_gpus)

    def model_exists(self, name: str) -> Call[bool]:
        """Return whether there is a model or script of that name."""
        return models.model_exists(self._program_to_read(name))

    def poll_model(self, name: str, poll_frequency_ms: int, num_tries: int) -> Call[bool]:
        """Wait until there is a model or script of a name; otherwise as `poll_tensor`."""
        return waiting.poll_model(self._program_to_read(name), poll_frequency_ms, num_tries)

    def set_model_chunk_size(self, chunk_size: int) -> Call[None]:
        """Have models sent and returned in pieces of so many bytes, by this client and all others.

        Raises:
            RedisRuntimeError: it is not above zero.
        """
        return models.set_model_chunk_size(chunk_size)


def _program(prefixed: Callable[[str], str], name: str) -> str:
    check_type(name, "name", str)
    if not name:
        raise ValueError("Argument name is empty: give the name of a model or script")
    return prefixed(name)
