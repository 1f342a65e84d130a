"""What replies mean to the commands that they answer: errors, tensors and datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from smartsim.adapters.tensors import wire
from smartsim.domain.client_errors import RedisRuntimeError, refusal
from smartsim.ports.tensor_store import Command, Reply

TENSOR_ITEMS: Final = 6
"""A tensor is a list of so many."""

_GIVE_TENSORS: Final = (b"AI.TENSORGET", b"AI.DAG", b"AI._DAG")
_LABELS: Final = (b"dtype", b"shape", b"blob")
_BEFORE_BLOBS: Final = 2


def gives_tensors(command: Command) -> bool:
    """Return whether there may be tensors in the reply to a command."""
    name = command.words[0]
    return isinstance(name, bytes) and name.startswith(_GIVE_TENSORS)


def gives_one_tensor(command: Command) -> bool:
    """Return whether the reply to a command is a tensor."""
    return command.words[0] == b"AI.TENSORGET"


def gives_dataset(command: Command) -> bool:
    """Return whether the reply to a command is a dataset."""
    return command.words[0] == b"AI._DATASETGET"


def is_blob(items: Sequence[Reply], command: Command) -> bool:
    """Return whether the text behind some items of a list is a blob of a dataset."""
    return gives_dataset(command) and len(items) >= _BEFORE_BLOBS and isinstance(items[0], list)


def rest_of_dataset(items: Sequence[Reply]) -> int:
    """Return how many bytes the blobs of a dataset have that are still to come; 0 if that is not known.

    Args:
        items: of the list: the metadata, the layouts of all tensors, and the first blobs.
    """
    _, layouts, *blobs = items
    total = wire.size_of_layouts(layouts) if isinstance(layouts, bytes) else 0
    return total - sum([len(blob) for blob in blobs if isinstance(blob, (bytes, np.ndarray))])


def error_of(line: bytes, command: Command) -> RedisRuntimeError:
    """Return the exception for an error."""
    return refusal(_text(line), _text(command.key or b""))


def layout_of(items: Sequence[Reply], size: int) -> wire.Layout | None:
    """Return the layout of the tensor of which everything but the elements are items of a list; None if it is none."""
    match items:  # the types first: an array among the items cannot be compared
        case [bytes(first), bytes(type_name), bytes(second), list(shape), bytes(third)]:
            sides = tuple(side for side in shape if isinstance(side, int))
            if (first, second, third) == _LABELS and len(sides) == len(shape) and type_name != b"STRING":
                return wire.layout(type_name, sides, size)
    return None


def closed(items: list[Reply], command: Command) -> Reply:
    """Return what a complete list is: a list, but for a tensor that cannot be read."""
    match items:
        case [bytes(first), bytes(type_name), bytes(second), list(), bytes(third), bytes()]:
            if (first, second, third) == _LABELS and type_name == b"STRING" and gives_tensors(command):
                key = _text(command.key or b"")
                cause = f"The tensor under {key!r} has strings, which this client does not read"
                return RedisRuntimeError(cause, key=key)
    return items


def _text(line: bytes) -> str:
    return line.decode(errors="replace")
