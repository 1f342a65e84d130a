"""What a worker does with its work: items in, answers out. Programs are loaded once and kept until they are dropped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from time import perf_counter_ns
from typing import Any, Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from smartsim.domain.tensor_types import WIRE_NAMES
from smartsim.ports.model_runtime import (
    WRONG_OUTPUTS,
    LoadedModel,
    LoadedScript,
    ModelBlob,
    ModelRuntime,
    ModelRuntimeError,
    ScriptRuntime,
)
from smartsim.ports.work_source import (
    Call,
    Check,
    Drop,
    Item,
    Kill,
    ModelProgram,
    Run,
    ScriptProgram,
    WorkSource,
    WorkSourceLostError,
)

WRONG_BATCH: Final = "ERR Model did not generate the expected batch size"
_DTYPES = frozenset(map(np.dtype, WIRE_NAMES))
_T = TypeVar("_T")


class Loaded(Generic[_T]):
    """What was loaded, by version; shared by threads. The same content is loaded once, under however many versions."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # for loading, and for changes
        self._by_version: dict[int, tuple[object, _T]] = {}

    def get(self, version: int) -> _T | None:
        """Return what is there under a version."""
        found = self._by_version.get(version)
        return None if found is None else found[1]

    def load(self, version: int, content: object, load: Callable[[], _T]) -> _T:
        """Load something, unless there is something of the same content.

        Args:
            version: under which it is kept.
            content: equal for equal content.
            load: loads it.
        """
        with self._lock:
            same = next((known for known in self._by_version.values() if known[0] == content), None)
            kept = (content, load()) if same is None else same
            self._by_version[version] = kept
        return kept[1]

    def drop(self, versions: Sequence[int]) -> None:
        """Forget versions, known or not."""
        with self._lock:
            for version in versions:
                self._by_version.pop(version, None)


class Programs:
    """The models and scripts of a process.

    Args:
        models: the runtimes of models, by backend.
        scripts: what runs scripts.
        device: on which they load.
    """

    def __init__(self, models: Mapping[str, ModelRuntime], scripts: ScriptRuntime, device: str) -> None:
        self.models = Loaded[LoadedModel]()
        self.scripts = Loaded[LoadedScript]()
        self._model_runtimes = models
        self._script_runtime = scripts
        self._device = device

    def load_model(self, version: int, program: ModelProgram) -> LoadedModel:
        """Load a model.

        Raises:
            ModelRuntimeError: it cannot be loaded.
        """
        runtime = self._model_runtimes.get(program.backend)
        if runtime is None:
            raise ModelRuntimeError(f"ERR this worker does not run models of the backend {program.backend}")
        _refuse_bytes("names of the model's INPUTS and OUTPUTS", program.inputs + program.outputs)
        model = ModelBlob(program.blob, program.inputs, program.outputs)
        content = program.backend, program.inputs, program.outputs, sha256(program.blob).digest()
        return self.models.load(version, content, lambda: runtime.load(model, self._device))

    def load_script(self, version: int, program: ScriptProgram) -> LoadedScript:
        """Load a script.

        Raises:
            ModelRuntimeError: it cannot be loaded.
        """
        source, entry_points = program.source, program.entry_points
        _refuse_bytes("script and the names of its entry points", (source, *entry_points))
        load = self._script_runtime.load
        return self.scripts.load(version, (entry_points, source), lambda: load(source, entry_points, self._device))

    def drop(self, versions: Sequence[int]) -> None:
        """Forget programs, known or not."""
        self.models.drop(versions)
        self.scripts.drop(versions)


class Serving:
    """One thread's part of a worker.

    Args:
        source: gives the work and takes the answers.
        programs: of the process.
    """

    def __init__(self, source: WorkSource, programs: Programs) -> None:
        self._source = source
        self._programs = programs

    def serve(self) -> None:
        """Do what there is to do, one item after the other.

        Raises:
            WorkSourceLostError: always, when the shard has gone.
        """
        while True:
            self.answer(self._source.next())  # no name for the item: while it waits it holds no memory of the last

    def answer(self, item: Item) -> None:
        """Do what is to be done.

        Raises:
            WorkSourceLostError: the shard has gone.
        """
        if isinstance(item, Drop):
            self._programs.drop(item.versions)
            return
        if isinstance(item, Kill):
            raise WorkSourceLostError(f"The shard asks a worker to end process {item.process}")
        try:
            if isinstance(item, Run):
                self._run(item)
            elif isinstance(item, Call):
                self._call(item)
            else:
                self._check(item)
        except WorkSourceLostError:
            raise
        except ModelRuntimeError as error:
            self._source.fail(item.job, str(error))
        except Exception as error:  # noqa: BLE001 - whatever a framework raises is the client's answer
            self._source.fail(item.job, f"ERR {' '.join(f'{type(error).__name__}: {error}'.split())}")

    def _run(self, item: Run) -> None:
        model = self._programs.models.get(item.version)
        if model is None:
            model = self._programs.load_model(item.version, _a(ModelProgram, self._source.fetch()))
        begin = perf_counter_ns()
        outputs = model.run(item.inputs)
        self._done(item, outputs, item.rows, begin)

    def _call(self, item: Call) -> None:
        script = self._programs.scripts.get(item.version)
        if script is None:
            script = self._programs.load_script(item.version, _a(ScriptProgram, self._source.fetch()))
        _refuse_bytes("function's name and the script's KEYS and ARGS", (item.function, *item.keys, *item.args))
        begin = perf_counter_ns()
        outputs = script.call(item.function, item.inputs, item.keys, item.args, item.list_start, item.outputs)
        self._done(item, outputs, (1,), begin)

    def _done(self, item: Run | Call, outputs: Sequence[npt.NDArray[Any]], rows: Sequence[int], begin: int) -> None:
        microseconds = (perf_counter_ns() - begin) // 1000
        if len(outputs) != item.outputs:
            raise ModelRuntimeError(WRONG_OUTPUTS)
        for position, output in enumerate(outputs):
            _check_output(position, output, rows)
        self._source.done(item.job, microseconds, outputs, rows)

    def _check(self, item: Check) -> None:
        program = self._source.fetch()
        begin = perf_counter_ns()
        names: tuple[Sequence[str], Sequence[str]] = (), ()
        if isinstance(program, ModelProgram):
            model = self._programs.load_model(item.version, program)
            names = model.input_names, model.output_names
        else:
            self._programs.load_script(item.version, program)
        self._source.checked(item.job, (perf_counter_ns() - begin) // 1000, *names)


def _a(kind: type[_T], program: object) -> _T:
    if not isinstance(program, kind):
        raise WorkSourceLostError(f"The shard gives a {type(program).__name__} where a {kind.__name__} belongs")
    return program


def _refuse_bytes(what: str, texts: Sequence[str]) -> None:
    """See that texts are texts: bytes that are not UTF-8 came as lone surrogates, which frameworks do not take."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        raise ModelRuntimeError(f"ERR the {what} must be UTF-8") from None


def _check_output(position: int, output: npt.NDArray[Any], rows: Sequence[int]) -> None:
    """See that an output is a tensor, and can be cut."""
    if output.dtype not in _DTYPES:
        raise ModelRuntimeError(f"ERR output {position} is of type {output.dtype}, which tensors cannot be")
    if not output.size:
        raise ModelRuntimeError(f"ERR output {position} has the shape {output.shape}: there is nothing in it")
    if len(rows) > 1 and (not output.ndim or output.shape[0] != sum(rows)):
        raise ModelRuntimeError(WRONG_BATCH)
