"""The devices of this machine, found without importing a framework."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

_DEVICE: Final = re.compile(r"(?:CPU|GPU)(?::[0-9]+)?")
_NVIDIA: Final = re.compile(r"nvidia\d+")
_AMD: Final = "/sys/class/kfd/kfd/topology/nodes"
_VISIBLE: Final = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
_DEFAULTS: Final = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),  # the most that glibc takes
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "TF_CPP_MIN_LOG_LEVEL": "1",
}


def parse_device(text: str) -> str:
    """Return a device as the database calls it.

    Args:
        text: ``CPU``, ``GPU`` or ``GPU:<number>``, in any case.

    Raises:
        ValueError: it is none of these.

    Example:
        >>> parse_device("gpu")
        'GPU:0'
    """
    if not _DEVICE.fullmatch(text.upper()):
        raise ValueError(f"{text!r} is not a device: write CPU, GPU or GPU:<number>")
    kind, _, index = text.upper().partition(":")
    return kind if kind == "CPU" else f"GPU:{int(index or 0)}"


def find_devices(environment: Mapping[str, str], devices: str = "/dev", topology: str = _AMD) -> list[str]:
    """Return the CPU and every GPU that this process may use, as the database calls them.

    Args:
        environment: in which a scheduler may have named the GPUs (``CUDA_VISIBLE_DEVICES``, for instance).
        devices: where NVIDIA's driver has a file for each GPU.
        topology: where AMD's driver has a folder for each node, of which those with a GPU have a nonzero `gpu_id`.

    Example:
        >>> find_devices({}, "/nowhere", "/nowhere")
        ['CPU']
    """
    count = sum(bool(_NVIDIA.fullmatch(name)) for name in _names(devices)) or sum(
        _is_gpu(os.path.join(topology, node, "gpu_id")) for node in _names(topology)
    )
    if count and (visible := _visible(environment)) is not None:
        count = min(count, len(visible[1]))
    return ["CPU", *(f"GPU:{index}" for index in range(count))]


def worker_environment(device: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a worker: of the GPUs it sees its own alone, and it has what suits its frameworks.

    Where the environment says nothing else, their OpenMP threads do not spin while they wait for each other: where they
    share cores with an application, that makes a model many times slower (measured: 20 times). Memory that a run frees
    is kept for the next, up to 256 MiB: to ask the system for fresh pages each time takes longer than many a network
    (measured: a small convolutional one on 8 images, 5.3 ms instead of 1.8 ms). TensorFlow logs warnings and errors
    only.

    Args:
        device: the worker's, such as ``GPU:1``: the second of those that are visible.
        environment: of this process.

    Example:
        >>> worker_environment("GPU:1", {"CUDA_VISIBLE_DEVICES": "4,7"})["CUDA_VISIBLE_DEVICES"]
        '7'
    """
    environment = {**_DEFAULTS, **environment}
    if not device.startswith("GPU:"):
        return environment
    index = int(device.removeprefix("GPU:"))
    visible = _visible(environment)
    if visible is None:
        return {**environment, "CUDA_VISIBLE_DEVICES": str(index), "HIP_VISIBLE_DEVICES": str(index)}
    name, chosen = visible
    return {**environment, name: chosen[index] if index < len(chosen) else ""}


def _visible(environment: Mapping[str, str]) -> tuple[str, list[str]] | None:
    """Return the variable that names the GPUs to be used, and their names; None when there is none."""
    for name in _VISIBLE:
        if name in environment:
            chosen = [part.strip() for part in environment[name].split(",")]
            # What follows an entry that is no device is not visible, says the CUDA Programming Guide.
            stop = next((place for place, part in enumerate(chosen) if part in ("", "-1", "NoDevFiles")), len(chosen))
            return name, chosen[:stop]
    return None


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _is_gpu(path: str) -> bool:
    try:
        with open(path, encoding="ascii") as stream:
            return stream.read().strip() not in ("", "0")
    except OSError:
        return False
