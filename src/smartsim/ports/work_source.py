"""Where workers get their work: a shard, as the process that runs models sees it.

What is asked and answered is described in docs/workers.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from smartsim.domain.errors import SmartSimError

if TYPE_CHECKING:
    import numpy.typing as npt


class WorkSourceLostError(SmartSimError):
    """The shard has gone, or does not speak to this worker (any more): there is nothing left to do."""


class WorkRefusedError(WorkSourceLostError):
    """The shard refuses what it is asked; the text is its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Run a model.

    Attributes:
        job: its number.
        version: of the model.
        backend: that runs it: ``TORCH``, ``ONNX``, ``TF`` or ``TFLITE``.
        rows: of dimension 0 that each of the joined requests has; they say nothing if there is one request.
        outputs: how many outputs were asked for.
        inputs: one array for each input, of all requests together: fresh, writable, C order, native byte order.
    """

    job: int
    version: int
    backend: str
    rows: tuple[int, ...]
    outputs: int
    inputs: tuple[npt.NDArray[Any], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """Call a function of a script.

    Attributes:
        job: its number.
        version: of the script.
        function: its name.
        keys: words for an entry point.
        args: words for an entry point.
        list_start: the input with which the list of tensors begins, -1 if that was not said.
        outputs: how many outputs were asked for.
        inputs: as those of `Run`.
    """

    job: int
    version: int
    function: str
    keys: tuple[str, ...]
    args: tuple[str, ...]
    list_start: int
    outputs: int
    inputs: tuple[npt.NDArray[Any], ...]


@dataclass(frozen=True, slots=True)
class Check:
    """Load a program that is about to be stored, and say whether it is sound.

    Attributes:
        job: its number.
        version: of the program.
        backend: that loads it.
    """

    job: int
    version: int
    backend: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Forget programs: no job, so there is nothing to answer.

    Attributes:
        versions: of the programs.
    """

    versions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Kill:
    """For whoever keeps workers running: end one by force. No job.

    Attributes:
        process: its process id.
    """

    process: int


Item: TypeAlias = Run | Call | Check | Drop | Kill
"""Something to do."""


@dataclass(frozen=True, slots=True)
class ModelProgram:
    """A model, as it was stored.

    Attributes:
        backend: that runs it.
        inputs: names of its input nodes (TF only).
        outputs: names of its output nodes (TF only).
        blob: its bytes.
    """

    backend: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    blob: bytes


@dataclass(frozen=True, slots=True)
class ScriptProgram:
    """A script, as it was stored.

    Attributes:
        entry_points: functions that are called with lists of tensors, keys and args.
        source: its text.
    """

    entry_points: tuple[str, ...]
    source: str


Program: TypeAlias = ModelProgram | ScriptProgram
"""What is run."""


class WorkSource(Protocol):
    """One connection of a worker: one thread uses it, and has one job at a time.

    Every method raises `WorkSourceLostError` when the shard has gone or refuses; after that the connection
    is of no use.
    """

    def hello(self, device: str, versions: Mapping[str, str]) -> None:
        """Say what this worker can run.

        Args:
            device: ``CPU`` or ``GPU:<number>``.
            versions: of the frameworks, by backend.
        """
        ...

    def next(self) -> Item:
        """Wait until there is something to do.

        Meanwhile nothing is kept of earlier items and their answers: their memory is the caller's alone.
        """
        ...

    def fetch(self) -> Program:
        """Return the program of the present job."""
        ...

    def done(self, job: int, microseconds: int, outputs: Sequence[npt.NDArray[Any]], rows: Sequence[int]) -> None:
        """Answer a `Run` or `Call`.

        Args:
            job: its number.
            microseconds: that the run took.
            outputs: in C order and native byte order, of dtypes of the wire, no dimension zero.
            rows: those of the `Run`: the outputs are cut along dimension 0 accordingly, unless there is one request.
        """
        ...

    def checked(self, job: int, microseconds: int, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Answer a `Check`: the program is sound.

        Args:
            job: its number.
            microseconds: that loading took.
            inputs: names of the inputs of a model; names may be empty.
            outputs: names of its outputs.
        """
        ...

    def fail(self, job: int, text: str) -> None:
        """Say that a job failed.

        Args:
            job: its number.
            text: what the client is told, its prefix included.
        """
        ...
