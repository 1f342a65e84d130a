"""What runs models and scripts: one runtime per framework."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from smartsim.domain.errors import SmartSimError

if TYPE_CHECKING:
    import numpy.typing as npt

WRONG_INPUTS: Final = "Number of keys given as INPUTS here does not match model definition"
"""What a client is told that gives a model another number of tensors than it takes."""

WRONG_OUTPUTS: Final = "Number of keys given as OUTPUTS here does not match model definition"
"""What a client is told that asks a model for another number of tensors than it gives."""


class ModelRuntimeError(SmartSimError):
    """A model or script cannot be loaded or run. Its text is what the client is told, in one line, prefix included.

    Args:
        text: the text; line breaks become spaces.
    """

    def __init__(self, text: str) -> None:
        super().__init__(" ".join(text.split()))


@dataclass(frozen=True)
class ModelBlob:
    """A serialized model.

    Attributes:
        blob: its bytes.
        inputs: names of the input nodes, in the order of the tensors (TF only).
        outputs: names of the output nodes (TF only).
    """

    blob: bytes
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parallelism:
    """How many threads of its own a framework may use; 0 leaves it to the framework.

    Attributes:
        intra_op: within one operation.
        inter_op: for operations beside one another. Frameworks that do not do that ignore it.
    """

    intra_op: int = 0
    inter_op: int = 0


class LoadedModel(Protocol):
    """A model that is ready to run. Several threads may run it at once."""

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of its inputs, as the framework has them; empty when even their number is up to the caller."""
        ...

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of its outputs, some of them perhaps empty; empty when their number shows in a run only."""
        ...

    def run(self, inputs: Sequence[npt.NDArray[Any]]) -> Sequence[npt.NDArray[Any]]:
        """Run it once.

        Args:
            inputs: one array per input: writable, C order, native byte order, a dtype of the wire (float64 float32 int8
                int16 int32 int64 uint8 uint16 bool). The caller must neither use nor change their memory during the
                call, nor, while it keeps the outputs, afterwards: both may share it.

        Returns:
            One array per output, C order, native byte order, in the memory of the host. Its dtype is the model's
            business, and may be one that the wire does not have.

        Raises:
            ModelRuntimeError: another number of inputs, a dtype or shape that the model does not take, or a failure of
                the framework.
        """
        ...


class ModelRuntime(Protocol):
    """A framework that runs models. Making one imports nothing; `load` does."""

    @property
    def backend(self) -> str:
        """What the database calls it: ``TORCH``, ``ONNX``, ``TF`` or ``TFLITE``."""
        ...

    def load(self, model: ModelBlob, device: str) -> LoadedModel:
        """Make a model ready to run.

        Args:
            model: the model, from anybody: no code of it runs outside of the framework's interpreter.
            device: ``CPU`` or ``GPU:<number>``.

        Raises:
            ModelRuntimeError: the bytes are no such model, it has no such nodes, or there is no such device.
        """
        ...


class LoadedScript(Protocol):
    """A script whose functions can be called, by several threads at once."""

    def call(
        self,
        function: str,
        inputs: Sequence[npt.NDArray[Any]],
        keys: Sequence[str],
        args: Sequence[str],
        list_start: int,
        outputs: int,
    ) -> Sequence[npt.NDArray[Any]]:
        """Call a function of the script.

        An entry point is called with three lists: tensors, keys and args. Any other function is called with the
        tensors, in order, and a parameter that is a list of tensors takes those that are left.

        Args:
            function: its name.
            inputs: the tensors; see `LoadedModel.run`.
            keys: names of keys, for an entry point.
            args: words, for an entry point.
            list_start: the position among `inputs` with which the list of tensors begins; -1 for where its parameter
                stands.
            outputs: how many tensors the function must return.

        Returns:
            As many arrays as asked for; see `LoadedModel.run`.

        Raises:
            ModelRuntimeError: there is no such function, it takes other inputs or returns other outputs, or it failed.
        """
        ...


class ScriptRuntime(Protocol):
    """A framework that runs scripts. Making one imports nothing; `load` does."""

    @property
    def backend(self) -> str:
        """What the database calls it: ``TORCH``."""
        ...

    def load(self, source: str, entry_points: Sequence[str], device: str) -> LoadedScript:
        """Compile a script.

        Args:
            source: its text.
            entry_points: the functions that are called with lists of tensors, keys and args.
            device: ``CPU`` or ``GPU:<number>``.

        Raises:
            ModelRuntimeError: the text does not compile, an entry point is not there or has another signature, or there
                is no such device.
        """
        ...
