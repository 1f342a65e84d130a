"""The devices that models and scripts are stored for."""

from __future__ import annotations

import re
from typing import NamedTuple

from smartsim.domain.client_errors import RedisRuntimeError, check_type

_DEVICE = re.compile(r"CPU|GPU(:[0-9]{1,5})?", re.ASCII)


class Copy(NamedTuple):
    """A copy of a model or script.

    Attributes:
        key: with the prefix of the client, if names of models are prefixed.
        device: that runs it.
    """

    key: str
    device: str


def check_device(device: str) -> str:
    """Return a device in capital letters.

    Raises:
        TypeError: it is no text, or neither a CPU nor a GPU.
        RedisRuntimeError: it is none of those that there can be.
    """
    check_type(device, "device", str)
    named = device.upper()
    if not named.startswith(("CPU", "GPU")):
        raise TypeError(f"Device argument must start with either CPU or GPU, but it is {device!r}")
    if not _DEVICE.fullmatch(named):
        raise RedisRuntimeError(f"{device} is not a valid device: use CPU, GPU, or GPU:0, GPU:1 and so on")
    return named


def copies_on_gpus(key: str, first_gpu: int, num_gpus: int) -> list[Copy]:
    """Return the copies that a range of GPUs needs, and the one for whoever asks for no GPU in particular, at last.

    Raises:
        TypeError: a number is none.
        ValueError: the range is empty, or begins below zero.

    Example:
        >>> copies_on_gpus("m", 1, 2)
        [Copy(key='m.GPU:1', device='GPU:1'), Copy(key='m.GPU:2', device='GPU:2'), Copy(key='m', device='GPU')]
    """
    _check_range(first_gpu, num_gpus)
    gpus = range(first_gpu, first_gpu + num_gpus)
    return [*(Copy(_key_on_gpu(key, gpu), f"GPU:{gpu}") for gpu in gpus), Copy(key, "GPU")]


def key_on_gpus(key: str, offset: int, first_gpu: int, num_gpus: int) -> str:
    """Return the key of the copy on one of a range of GPUs.

    Args:
        key: of the model or script.
        offset: which one; any number, such as the caller's rank: the GPUs take turns.
        first_gpu: the first of the range.
        num_gpus: how many there are.

    Raises:
        TypeError: a number is none.
        ValueError: the range is empty, or begins below zero.

    Example:
        >>> key_on_gpus("m", offset=5, first_gpu=1, num_gpus=4)
        'm.GPU:2'
    """
    check_type(offset, "offset", int)
    _check_range(first_gpu, num_gpus)
    return _key_on_gpu(key, first_gpu + offset % num_gpus)


def _check_range(first_gpu: int, num_gpus: int) -> None:
    check_type(first_gpu, "first_gpu", int)
    check_type(num_gpus, "num_gpus", int)
    if first_gpu < 0:
        raise ValueError(f"first_gpu must be a non-negative integer, but it is {first_gpu}")
    if num_gpus < 1:
        raise ValueError(f"num_gpus must be a positive integer, but it is {num_gpus}")


def _key_on_gpu(key: str, gpu: int) -> str:
    return f"{key}.GPU:{gpu}"
