"""Calls about models."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from smartsim.app.client.calls import SHARDS, Call, check, integer, text, texts
from smartsim.app.client.devices import Copy, check_device, copies_on_gpus, key_on_gpus
from smartsim.app.client.programs import ask, delete, names, store
from smartsim.app.client.running import Run, run
from smartsim.domain.client_errors import RedisInternalError, RedisRuntimeError, check_type
from smartsim.domain.ml_objects import BACKENDS
from smartsim.ports.tensor_store import Command, Shard, Word

_DELETE: Final = b"AI.MODELDEL"
_ALWAYS_TAKEN: Final = 1 << 20
"""Bytes that any database takes as one word, whatever its settings."""

_WARNING: Final = (
    "WARNING: min_batch_timeout was not set when a non-zero min_batch_size was selected.\n"
    "Setting a small value (~10ms) for min_batch_timeout may improve performance"
)


class ModelOptions(NamedTuple):
    """What a model is stored with; made with `model_options`.

    Attributes:
        backend: the framework that runs it.
        words: the rest, as on the wire.
    """

    backend: bytes
    words: tuple[bytes, ...]


def model_options(
    backend: str,
    batch_size: int = 0,
    min_batch_size: int = 0,
    min_batch_timeout: int = 0,
    tag: str = "",
    inputs: str | list[str] | None = None,
    outputs: str | list[str] | None = None,
) -> ModelOptions:
    """Return options of a model, after a look at them; that it would wait for batches is told on stderr.

    Args:
        backend: TF, TFLITE, TORCH or ONNX, in either case.
        batch_size: how many rows are joined into one run at most; 0 for none.
        min_batch_size: how many are waited for.
        min_batch_timeout: for how long, in milliseconds.
        tag: a text kept with the model.
        inputs: names of the input nodes (TF only).
        outputs: names of the output nodes (TF only).

    Raises:
        TypeError: an argument is of another type, or the backend is none of these.
        ValueError: there are nodes, and the backend is not TF; or a number is negative.
        RedisRuntimeError: numbers for batches do not go together.
    """
    check_type(backend, "backend", str)
    if backend.upper() not in BACKENDS:
        raise TypeError(f"Backend type {backend} unsupported: use one of {', '.join(BACKENDS)}")
    check_type(tag, "tag", str)
    words = [b"TAG", tag.encode()] if tag else []
    words += _batching(batch_size, min_batch_size, min_batch_timeout)
    for argument, value in (("inputs", inputs), ("outputs", outputs)):
        nodes = names(value, argument)
        keyword = argument.upper()
        if nodes and backend.upper() != "TF":
            raise ValueError(f"{keyword} in the model set command is only valid for TF models, not for {backend}")
        if nodes:
            words += [keyword.encode(), b"%d" % len(nodes), *(node.encode() for node in nodes)]
    return ModelOptions(backend.upper().encode(), tuple(words))


def set_model(key: str, model: bytes | str, options: ModelOptions, device: str = "CPU") -> Call[None]:
    """Store a model on every shard; it comes back when a worker has looked at it."""
    yield from _store([Copy(key, check_device(device))], model, options)


def set_model_multigpu(
    key: str, model: bytes | str, options: ModelOptions, first_gpu: int, num_gpus: int
) -> Call[None]:
    """Store a model for each of a range of GPUs."""
    yield from _store(copies_on_gpus(key, first_gpu, num_gpus), model, options)


def get_model(key: str) -> Call[bytes]:
    """Return the bytes of a model."""
    reply = yield from ask(lambda stored: (b"AI.MODELGET", stored, b"BLOB"), key)
    return b"".join(texts(reply)) if isinstance(reply, list) else text(reply)


def run_model(key: str, inputs: Sequence[str], outputs: Sequence[str], timeout_ms: int) -> Call[None]:
    """Run a model.

    Args:
        key: of the model.
        inputs: keys of tensors.
        outputs: keys of the tensors that it makes.
        timeout_ms: how long it may take, with all waiting, in milliseconds.
    """
    yield from run(Run.of("AI.MODELEXECUTE", key, (), inputs, outputs, timeout_ms))


def run_model_multigpu(
    key: str, offset: int, first_gpu: int, num_gpus: int, inputs: Sequence[str], outputs: Sequence[str], timeout_ms: int
) -> Call[None]:
    """Run the copy of a model on one of a range of GPUs; otherwise as `run_model`."""
    yield from run_model(key_on_gpus(key, offset, first_gpu, num_gpus), inputs, outputs, timeout_ms)


def delete_model(key: str) -> Call[None]:
    """Delete a model from every shard."""
    yield from delete([Copy(key, "")], _DELETE)


def delete_model_multigpu(key: str, first_gpu: int, num_gpus: int) -> Call[None]:
    """Delete the copies of a model on a range of GPUs."""
    yield from delete(copies_on_gpus(key, first_gpu, num_gpus), _DELETE)


def model_exists(key: str) -> Call[bool]:
    """Return whether there is anything under the key of a model or script."""
    return bool(integer((yield from ask(lambda stored: (b"EXISTS", stored), key))))


def set_model_chunk_size(chunk_size: int) -> Call[None]:
    """Have all shards take and give models in parts of so many bytes."""
    check_type(chunk_size, "chunk_size", int)
    shards: Sequence[Shard] = yield SHARDS
    replies = yield _on_all(shards, (b"AI.CONFIG", b"MODEL_CHUNK_SIZE", b"%d" % chunk_size))
    check(replies)


def _batching(batch_size: int, min_batch_size: int, min_batch_timeout: int) -> list[bytes]:
    numbers = {"batch_size": batch_size, "min_batch_size": min_batch_size, "min_batch_timeout": min_batch_timeout}
    for name, number in numbers.items():
        check_type(number, name, int)
        if number < 0:
            raise ValueError(f"{name} is {number}: give a number of at least 0")
    if not batch_size and (min_batch_size or min_batch_timeout):
        raise RedisRuntimeError(
            f"batch_size must be non-zero if min_batch_size={min_batch_size} or min_batch_timeout={min_batch_timeout} "
            "is used; otherwise batching will not be performed"
        )
    if min_batch_timeout and not min_batch_size:
        raise RedisRuntimeError(
            f"min_batch_size must be non-zero if min_batch_timeout={min_batch_timeout} is used; otherwise it is ignored"
        )
    if min_batch_size and not min_batch_timeout:
        print(_WARNING, file=sys.stderr)  # noqa: T201 - scripts of old look for it there
    return [
        word
        for name, number in numbers.items()
        if number
        for word in (name.upper().replace("_", "").encode(), b"%d" % number)
    ]


def _store(copies: Sequence[Copy], model: bytes | str, options: ModelOptions) -> Call[None]:
    chunks = yield from _chunks(_blob(model))
    yield from store(copies, partial(_store_words, options, chunks))


def _store_words(options: ModelOptions, chunks: Sequence[Word], key: bytes, device: bytes) -> tuple[Word, ...]:
    return (b"AI.MODELSTORE", key, options.backend, device, *options.words, b"BLOB", *chunks)


def _blob(model: bytes | str) -> npt.NDArray[np.uint8]:
    """Return the bytes of a model, where they are."""
    try:
        return np.frombuffer(model.encode() if isinstance(model, str) else model, np.uint8)
    except (TypeError, ValueError, BufferError):  # it has no bytes, or not in one piece
        raise TypeError(f"Argument model is of type {type(model)}, not <class 'bytes'> or <class 'str'>") from None


def _chunks(blob: npt.NDArray[np.uint8]) -> Call[list[npt.NDArray[Any]]]:
    """Return a model in parts that the database takes; asks it only about a large one."""
    size = len(blob)
    if size > _ALWAYS_TAKEN:
        shards: Sequence[Shard] = yield SHARDS
        size = min(map(integer, (yield _on_all(shards, (b"AI.CONFIG", b"GET", b"MODEL_CHUNK_SIZE"), changes=False))))
        if size < 1:
            raise RedisInternalError(f"The database takes models in parts of {size} bytes, it says: that cannot be")
    return [blob[begin : begin + size] for begin in range(0, len(blob), max(size, 1))]


def _on_all(shards: Sequence[Shard], words: tuple[bytes, ...], *, changes: bool = True) -> list[Command]:
    addresses = dict.fromkeys(shard.address for shard in shards)
    return [Command(words, shard=address, changes=changes) for address in addresses]
