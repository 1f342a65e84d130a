"""Commands of the in-memory tensor store for models."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from smartsim.adapters.tensors.in_memory_keys import CommandKind, Commands, Keys, RefusedError, Shared, integer
from smartsim.adapters.tensors.in_memory_tensors import Tensor, find_tensor
from smartsim.domain.tensor_types import WIRE_NAMES
from smartsim.ports.model_runtime import (
    WRONG_INPUTS,
    WRONG_OUTPUTS,
    LoadedModel,
    ModelBlob,
    ModelRuntime,
    ModelRuntimeError,
)
from smartsim.ports.tensor_store import Reply

if TYPE_CHECKING:
    import numpy.typing as npt

_OK: Final = b"OK"
_NO_MODEL: Final = "ERR model key is empty"
_NO_BLOB: Final = "ERR Insufficient arguments, missing model BLOB"
_MISMATCH: Final = "ERR number of {} does not match the number of given arguments"
_BACKENDS: Final = (b"TF", b"TFLITE", b"TORCH", b"ONNX")
_DEVICE = re.compile(rb"(?:CPU|(GPU))(?::(\d{1,5}))?", re.IGNORECASE)


@dataclass(frozen=True)
class Model(Shared):
    """A model, and what it was stored with."""

    backend: bytes
    device: bytes
    tag: bytes
    batch_size: int
    min_batch_size: int
    min_batch_timeout: int
    blob: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    loaded: LoadedModel


class _KeptModel:
    """A model that nothing runs."""

    input_names = ()
    output_names = ()

    def run(self, inputs: Sequence[npt.NDArray[Any]]) -> Sequence[npt.NDArray[Any]]:
        """Refuse; see `LoadedModel.run`."""
        del inputs
        raise ModelRuntimeError(
            "ERR this in-memory store runs no models: make it with a runtime, "
            "for example InMemoryTensorStore(AffineRuntime())"
        )


class ModelCommands:
    """The commands for models.

    Args:
        runtime: runs the models; None for a store that keeps them only.
    """

    def __init__(self, runtime: ModelRuntime | None) -> None:
        self._runtime = runtime
        self._chunk_size = 535_822_336  # bytes

    def table(self) -> Commands:
        """Return them by name."""
        return {
            b"AI.CONFIG": CommandKind(self._configure, 1),
            b"AI.MODELSTORE": CommandKind(self._store, 3, in_transactions=False),
            b"AI.MODELGET": CommandKind(self._get, 1, 3),
            b"AI.MODELDEL": CommandKind(_delete, 1, 1),
            b"AI.MODELEXECUTE": CommandKind(_execute, 7, in_transactions=False),
        }

    def _configure(self, _keys: Keys, *words: bytes) -> Reply:
        if words == (b"GET", b"MODEL_CHUNK_SIZE"):
            return self._chunk_size
        if words[0] != b"MODEL_CHUNK_SIZE":
            raise RefusedError("ERR unsupported subcommand")
        refusal = "ERR MODEL_CHUNK_SIZE: invalid chunk size"
        size = integer(b"".join(words[1:]), refusal)
        if size <= 0:
            raise RefusedError(refusal)
        self._chunk_size = size
        return _OK

    def _store(self, keys: Keys, name: bytes, backend: bytes, device: bytes, *options: bytes) -> Reply:
        keys.find(name, Model)
        if backend not in _BACKENDS:
            raise RefusedError("ERR unsupported backend")
        where = _DEVICE.fullmatch(device)
        if where is None:
            raise RefusedError("ERR Invalid DEVICE")
        words = _Words(options)
        tag = words.text(b"TAG", _NO_BLOB)
        batching = _read_batching(words)
        inputs, outputs = _read_names(words, named=backend == b"TF")
        blob = _read_blob(words)
        loaded = self._load(
            ModelBlob(blob, inputs, outputs), backend.decode(), f"GPU:{int(where[2] or 0)}" if where[1] else "CPU"
        )
        names = (inputs, outputs) if backend == b"TF" else (loaded.input_names, loaded.output_names)
        keys.put(name, Model(backend, device, tag, *batching, blob, *names, loaded))
        return _OK

    def _load(self, model: ModelBlob, backend: str, device: str) -> LoadedModel:
        if self._runtime is None:
            return _KeptModel()
        if self._runtime.backend != backend:
            raise RefusedError(f"ERR the runtime of this in-memory store runs {self._runtime.backend}, not {backend}")
        try:
            return self._runtime.load(model, device)
        except ModelRuntimeError as error:
            raise RefusedError(str(error)) from None

    def _get(self, keys: Keys, name: bytes, *parts: bytes) -> Reply:
        model = keys.need(name, Model, _NO_MODEL)
        if not {b"META", b"BLOB"}.issuperset(parts):
            raise RefusedError("ERR unsupported data format")
        if parts == (b"BLOB",):
            return self._chunks(model.blob)
        meta: list[Reply] = [b"backend", model.backend, b"device", model.device, b"tag", model.tag]
        meta += [b"batchsize", model.batch_size, b"minbatchsize", model.min_batch_size]
        meta += [b"inputs", [text.encode() for text in model.inputs]]
        meta += [b"outputs", [text.encode() for text in model.outputs], b"minbatchtimeout", model.min_batch_timeout]
        return meta if parts == (b"META",) else [*meta, b"blob", self._chunks(model.blob)]

    def _chunks(self, blob: bytes) -> Reply:
        size = self._chunk_size
        return blob if len(blob) < size else [blob[at : at + size] for at in range(0, len(blob) + 1, size)]


class _Words:
    """The words of a command that are still to be read."""

    def __init__(self, words: Sequence[bytes]) -> None:
        self._left = deque(words)

    def skip(self, keyword: bytes) -> bool:
        """Skip a word, if it is next; return whether it was."""
        if not self._left or self._left[0] != keyword:
            return False
        self._left.popleft()
        return True

    def take(self, count: int, refusal: str) -> tuple[bytes, ...]:
        """Return the next words; refuse with a text if there are fewer."""
        if len(self._left) < count:
            raise RefusedError(refusal)
        return tuple(self._left.popleft() for _ in range(count))

    def take_rest(self) -> tuple[bytes, ...]:
        """Return all that are left."""
        return self.take(len(self._left), "")

    def text(self, keyword: bytes, refusal: str) -> bytes:
        """Return the word after a keyword, an empty one if the keyword is not next."""
        return self.take(1, refusal)[0] if self.skip(keyword) else b""

    def number(self, keyword: bytes, refusal: str) -> int:
        """Return the number after a keyword, 0 if the keyword is not next."""
        number = integer(self.text(keyword, refusal) or b"0", refusal)
        if number < 0:
            raise RefusedError(refusal)
        return number

    def counted(self, invalid: str, not_positive: str, mismatch: str) -> tuple[bytes, ...]:
        """Return as many words as the next one says."""
        count = integer(self.take(1, invalid)[0], invalid)
        if count <= 0:
            raise RefusedError(not_positive)
        return self.take(count, mismatch)


def _read_batching(words: _Words) -> tuple[int, int, int]:
    size = words.number(b"BATCHSIZE", "ERR Invalid argument for BATCHSIZE")
    least = words.number(b"MINBATCHSIZE", "ERR Invalid argument for MINBATCHSIZE")
    if least and not size:
        raise RefusedError("ERR MINBATCHSIZE specified without BATCHSIZE")
    timeout = words.number(b"MINBATCHTIMEOUT", "ERR Invalid argument for MINBATCHTIMEOUT")
    if timeout and not least:
        raise RefusedError("ERR MINBATCHTIMEOUT specified without MINBATCHSIZE")
    return size, least, timeout


def _read_names(words: _Words, *, named: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names = []
    for keyword, what in ((b"INPUTS", "input"), (b"OUTPUTS", "output")):
        present = words.skip(keyword)
        if named and not present:
            raise RefusedError(f"ERR {keyword.decode()} not specified for TF")
        if present and not named:
            raise RefusedError(f"ERR {keyword.decode()} argument should not be specified for this backend")
        invalid = f"ERR Invalid argument for {what}_count"
        read = words.counted(invalid, invalid, _MISMATCH.format(f"model {what}s")) if present else ()
        names.append(tuple(name.decode() for name in read))
    return names[0], names[1]


def _read_blob(words: _Words) -> bytes:
    keyword, *chunks = words.take_rest() or (b"",)
    if keyword not in (b"", b"BLOB"):
        raise RefusedError("ERR Invalid argument, expected BLOB")
    if not chunks:
        raise RefusedError(_NO_BLOB)
    return b"".join(chunks)


def _delete(keys: Keys, name: bytes) -> Reply:
    keys.need(name, Model, _NO_MODEL)
    keys.remove(name)
    return _OK


def _read_keys(words: _Words, keyword: str) -> tuple[bytes, ...]:
    if not words.skip(keyword.encode()):
        raise RefusedError(f"ERR {keyword} not specified")
    what = keyword.removesuffix("S").lower()
    mismatch = _MISMATCH.format(f"{what} keys to AI.MODELEXECUTE command")
    return words.counted(
        f"ERR Invalid argument for {what}_count", f"ERR {what.title()} count must be a positive integer", mismatch
    )


def _read_execution(arguments: Sequence[bytes]) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    words = _Words(arguments)
    inputs, outputs = _read_keys(words, "INPUTS"), _read_keys(words, "OUTPUTS")
    if words.skip(b"TIMEOUT"):
        (limit,) = words.take(1, "ERR No value provided for TIMEOUT")
        if integer(limit, "ERR Invalid value for TIMEOUT") <= 0:
            raise RefusedError("ERR Invalid value for TIMEOUT")
    for word in words.take_rest():
        raise RefusedError(f"Invalid argument: {word.decode(errors='replace')}")
    return inputs, outputs


def _execute(keys: Keys, name: bytes, *arguments: bytes) -> Reply:
    inputs, outputs = _read_execution(arguments)
    model = keys.need(name, Model, _NO_MODEL)
    if model.inputs and len(model.inputs) != len(inputs):
        raise RefusedError(WRONG_INPUTS)
    if model.outputs and len(model.outputs) != len(outputs):
        raise RefusedError(WRONG_OUTPUTS)
    try:
        results = model.loaded.run([find_tensor(keys, key) for key in inputs])
    except ModelRuntimeError as error:
        raise RefusedError(str(error)) from None
    if len(results) != len(outputs):
        raise RefusedError(WRONG_OUTPUTS)
    for position, result in enumerate(results):
        if result.dtype.name not in WIRE_NAMES:
            raise RefusedError(f"ERR output {position} is of type {result.dtype}, which tensors cannot be")
    for key in outputs:
        keys.find(key, Tensor)
    for key, result in zip(outputs, results, strict=True):
        keys.put(key, Tensor(result.copy()))
    return _OK
