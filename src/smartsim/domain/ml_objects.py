"""Machine-learning models and scripts that an entity brings along for its database."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from smartsim.domain.errors import SSUnsupportedError
from smartsim.domain.integers import integer

BACKENDS = ("TF", "TFLITE", "TORCH", "ONNX")
"""The frameworks that a model can be for."""

_DEVICE = re.compile(r"(CPU|GPU)(:[0-9]+)?", re.ASCII)


@dataclass(frozen=True)
class Upload:
    """A model or script as a database takes it. Two are equal when the database would have the same.

    Attributes:
        name: the key.
        content: the bytes of a model, or the text of a script.
        device: that runs it: ``CPU``, ``GPU``, or one GPU as ``GPU:<number>``.
        gpus: how many GPUs get a copy of their own, if more than 1.
        first_gpu: the number of the first of them.
        options: of a model, under the names that `DBModel` has for them; None for a script.
        owner: the entity that brings it along.
        file: where the content is, if it is in a file.
    """

    name: str
    content: bytes = field(repr=False)
    device: str
    gpus: int
    first_gpu: int
    options: Mapping[str, Any] | None
    owner: str = field(compare=False)
    file: str | None = field(compare=False)

    @property
    def kind(self) -> str:
        """What it is called in messages."""
        return "script" if self.options is None else "model"

    @property
    def digest(self) -> str:
        """The same for all that are equal, and for no others."""
        described = (self.name, self.device, self.gpus, self.first_gpu, self.options and sorted(self.options.items()))
        return hashlib.sha256(repr(described).encode() + b"\0" + self.content).hexdigest()


class DBObject:
    """What a model and a script have in common: a name, a content in memory or in a file, and devices.

    Args:
        name: the key under which the database keeps it.
        payload: the content, or None when it is in a file.
        file_path: the file, absolute; not looked at when there is a payload.
        device: ``CPU``, ``GPU``, or one GPU as ``GPU:<number>``, in either case.
        devices_per_node: how many GPUs get a copy, at least 1.
        first_device: the number of the first of them.

    Raises:
        TypeError: an argument has another type.
        ValueError: a number is out of range, or the device is unknown or contradicts the number of devices.
        SSUnsupportedError: several devices are asked for, and the device is the CPU.
    """

    def __init__(
        self, name: str, payload: Any, file_path: str | None, device: str, devices_per_node: int, first_device: int
    ) -> None:
        if not isinstance(name, str):
            raise TypeError(f"the name of a database object must be a str, not {name!r}")
        if not name:
            raise ValueError("the name of a database object is empty: it is the key that clients use")
        self.name = name
        self.func = payload
        self.file_path = file_path
        self.device = _checked_device(device)
        self.devices_per_node = integer("devices_per_node", devices_per_node, at_least=1)
        self.first_device = integer("first_device", first_device)
        if self.device.startswith("CPU") and (self.devices_per_node > 1 or self.first_device > 0):
            raise SSUnsupportedError(
                f"Cannot set devices_per_node={devices_per_node} and first_device={first_device} when the device is "
                "CPU: they are for GPUs"
            )
        if ":" in self.device and self.devices_per_node > 1:
            raise ValueError(
                f"Cannot set devices_per_node={devices_per_node} when a single device is named ({device}): "
                "use device='GPU' with first_device"
            )

    @property
    def devices(self) -> list[str]:
        """The devices that get a copy."""
        if self.device == "GPU" and self.devices_per_node > 1:
            return [f"GPU:{self.first_device + number}" for number in range(self.devices_per_node)]
        return [self.device]

    @property
    def is_file(self) -> bool:
        """Whether the content is in a file, not in memory."""
        return self.func is None

    @property
    def options(self) -> dict[str, Any] | None:
        """What is stored with the content of a model; None for a script."""
        return None

    def is_same(self, other: DBObject) -> bool:
        """Return whether another one is the same, as far as can be said without a look at the content."""
        mine, others = ({**vars(each), "func": id(each.func), "type": type(each)} for each in (self, other))
        return mine == others

    def upload(self, content: bytes, owner: str) -> Upload:
        """Return it as a database takes it, for an entity that brings it along."""
        file = self.file_path if self.is_file else None
        return Upload(
            self.name, content, self.device, self.devices_per_node, self.first_device, self.options, owner, file
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, device={self.device!r}, file_path={self.file_path!r})"


class DBModel(DBObject):
    """A machine-learning model.

    Args:
        name: see `DBObject`; so for the devices.
        backend: ``TF``, ``TFLITE``, ``TORCH`` or ``ONNX``, in either case.
        model: the model, if it is in memory: serialized, or as its framework has it.
        model_file: the file it is in otherwise.
        device: see `DBObject`.
        devices_per_node: see `DBObject`.
        first_device: see `DBObject`.
        batch_size: how many requests are joined into one run at most; 0 for none.
        min_batch_size: how many are waited for.
        min_batch_timeout: for how long, in milliseconds; 0 without end.
        tag: a text kept with the model.
        inputs: names of the input nodes (TF only).
        outputs: names of the output nodes (TF only).

    Raises:
        ValueError: the backend is unknown, there is neither model nor file, or see `DBObject`.
    """

    def __init__(
        self,
        name: str,
        backend: str,
        model: Any = None,
        model_file: str | None = None,
        device: str = "CPU",
        devices_per_node: int = 1,
        first_device: int = 0,
        batch_size: int = 0,
        min_batch_size: int = 0,
        min_batch_timeout: int = 0,
        tag: str = "",
        inputs: str | Sequence[str] | None = None,
        outputs: str | Sequence[str] | None = None,
    ) -> None:
        payload = _content(model, model_file, "Either model or model_file must be provided")
        super().__init__(name, payload, model_file, device, devices_per_node, first_device)
        self.backend = _checked_backend(backend)
        self.batch_size = integer("batch_size", batch_size)
        self.min_batch_size = integer("min_batch_size", min_batch_size)
        self.min_batch_timeout = integer("min_batch_timeout", min_batch_timeout)
        self.tag = tag
        self.inputs = _names("inputs", inputs)
        self.outputs = _names("outputs", outputs)

    @property
    def model(self) -> Any:
        """The model, if it is in memory."""
        return self.func

    @property
    def options(self) -> dict[str, Any]:
        """What is stored with the model."""
        names = ("backend", "batch_size", "min_batch_size", "min_batch_timeout", "tag", "inputs", "outputs")
        return {name: getattr(self, name) for name in names}


class DBScript(DBObject):
    """A TorchScript script or function.

    Args:
        name: see `DBObject`; so for the devices.
        script: the source text, or a function, if it is in memory.
        script_path: the file it is in otherwise.
        device: see `DBObject`.
        devices_per_node: see `DBObject`.
        first_device: see `DBObject`.

    Raises:
        ValueError: there is neither script nor file, or see `DBObject`.
    """

    def __init__(
        self,
        name: str,
        script: str | Callable[..., Any] | None = None,
        script_path: str | None = None,
        device: str = "CPU",
        devices_per_node: int = 1,
        first_device: int = 0,
    ) -> None:
        payload = _content(script, script_path, "Either script or script_path must be provided")
        if payload is not None and not isinstance(payload, str) and not callable(payload):
            raise TypeError(f"the script {name!r} must be a str or a function, not {payload!r}")
        super().__init__(name, payload, script_path, device, devices_per_node, first_device)

    @property
    def script(self) -> str | Callable[..., Any] | None:
        """The source text or the function, if it is in memory."""
        function: str | Callable[..., Any] | None = self.func
        return function


class BringsMLObjects:
    """Something that brings along models and scripts for its database: a model or an ensemble.

    Args:
        db_models: those it has from the start; this list itself is added to.
        db_scripts: likewise.
    """

    def __init__(self, db_models: list[DBModel], db_scripts: list[DBScript]) -> None:
        self._db_models = db_models
        self._db_scripts = db_scripts

    @property
    def db_models(self) -> tuple[DBModel, ...]:
        """The machine-learning models it brings along."""
        return tuple(self._db_models)

    @property
    def db_scripts(self) -> tuple[DBScript, ...]:
        """The scripts and functions it brings along."""
        return tuple(self._db_scripts)

    def add_ml_model_object(self, db_model: DBModel) -> None:
        """Bring along a machine-learning model.

        Raises:
            SSUnsupportedError: there is one of that name.
        """
        self.check_db_object(db_model)
        self._db_models.append(db_model)

    def add_script_object(self, db_script: DBScript) -> None:
        """Bring along a script or function.

        Raises:
            SSUnsupportedError: there is one of that name.
        """
        self.check_db_object(db_script)
        self._db_scripts.append(db_script)

    def check_db_object(self, db_object: DBModel | DBScript) -> None:
        """Raise what adding a model or script would raise."""
        is_model = isinstance(db_object, DBModel)
        if any(present.name == db_object.name for present in (self._db_models if is_model else self._db_scripts)):
            what = "An ML Model" if is_model else "A Script"
            raise SSUnsupportedError(f'{what} with name "{db_object.name}" already exists: choose another name')


def _content(payload: Any, file_path: str | None, complaint: str) -> Any:
    """Return the payload, an empty one as None."""
    if isinstance(payload, str | bytes) and not payload:
        payload = None
    if payload is None and not file_path:
        raise ValueError(complaint)
    return payload


def _checked_device(device: object) -> str:
    if not isinstance(device, str) or not _DEVICE.fullmatch(device.upper()):
        raise ValueError(
            f"Device argument must start with either CPU or GPU, but it is {device!r}: write 'CPU', 'GPU' or "
            "'GPU:<number>'"
        )
    return device.upper()


def _checked_backend(backend: object) -> str:
    if not isinstance(backend, str) or backend.upper() not in BACKENDS:
        raise ValueError(f"Backend type {backend!r} is not supported: use one of {', '.join(BACKENDS)}")
    return backend.upper()


def _names(what: str, names: str | Sequence[str] | None) -> list[str]:
    if isinstance(names, str):
        return [names]
    listed = list(names or ())
    if not all(isinstance(name, str) for name in listed):
        raise TypeError(f"{what} must be a str or a list of str, not {names!r}")
    return listed
