"""Machine-learning models and scripts as users make them: files are looked at, and added to entities."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.domain import ml_objects
from smartsim.ports.file_system import FileReader, Kind


class DBObject(ml_objects.DBObject):
    """What a machine-learning model and a script have in common."""

    @property
    def file(self) -> Path | None:
        """The file that holds the content, unless it is in memory."""
        return None if self.file_path is None else Path(self.file_path)


class DBModel(DBObject, ml_objects.DBModel):
    """A machine-learning model that a database is to have.

    Args:
        name: the key under which the database keeps it.
        backend: ``TF``, ``TFLITE``, ``TORCH`` or ``ONNX``.
        model: the model, if it is in memory: serialized (bytes), or as its framework has it. A `torch.nn.Module`, a
            Keras model, an `onnx.ModelProto`, for example; it is serialized when the entity is started.
        model_file: the file it is in otherwise.
        device: ``CPU``, ``GPU``, or one GPU as ``GPU:<number>``.
        devices_per_node: how many GPUs get a copy.
        first_device: the number of the first of them.
        batch_size: how many requests are joined into one run at most; 0 for none.
        min_batch_size: how many are waited for.
        min_batch_timeout: for how long, in milliseconds; 0 without end.
        tag: a text kept with the model.
        inputs: names of the input nodes (TF only); by default those that serializing the model finds.
        outputs: names of the output nodes (TF only), likewise.
        files: looks at files; on this machine by default.

    Raises:
        FileNotFoundError: the file is not there.
        ValueError: there is neither model nor file, or an argument is out of range.
        SSUnsupportedError: several devices are asked for, and the device is the CPU.
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
        *,
        files: FileReader | None = None,
    ) -> None:
        super().__init__(
            name,
            backend,
            model,
            _existing(model_file, files),
            device,
            devices_per_node,
            first_device,
            batch_size,
            min_batch_size,
            min_batch_timeout,
            tag,
            inputs,
            outputs,
        )


class DBScript(DBObject, ml_objects.DBScript):
    """A TorchScript script or function that a database is to have.

    Args:
        name: the key under which the database keeps it.
        script: the source text, or a function, if it is in memory.
        script_path: the file it is in otherwise.
        device: ``CPU``, ``GPU``, or one GPU as ``GPU:<number>``.
        devices_per_node: how many GPUs get a copy.
        first_device: the number of the first of them.
        files: looks at files; on this machine by default.

    Raises:
        FileNotFoundError: the file is not there.
        ValueError: there is neither script nor file, or an argument is out of range.
        SSUnsupportedError: several devices are asked for, and the device is the CPU.
    """

    def __init__(
        self,
        name: str,
        script: str | Callable[..., Any] | None = None,
        script_path: str | None = None,
        device: str = "CPU",
        devices_per_node: int = 1,
        first_device: int = 0,
        *,
        files: FileReader | None = None,
    ) -> None:
        super().__init__(name, script, _existing(script_path, files), device, devices_per_node, first_device)


class AddsMLObjects(ml_objects.BringsMLObjects):
    """Makes models and scripts and brings them along: a model or an ensemble."""

    _reader: FileReader

    def add_ml_model(
        self,
        name: str,
        backend: str,
        model: Any = None,
        model_path: str | None = None,
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
        """Have a machine-learning model put into the database before the application starts.

        Args:
            name: see `DBModel`; so for the others.
            backend: see `DBModel`.
            model: see `DBModel`.
            model_path: the file that holds it, when it is not in memory.
            device: see `DBModel`.
            devices_per_node: see `DBModel`.
            first_device: see `DBModel`.
            batch_size: see `DBModel`.
            min_batch_size: see `DBModel`.
            min_batch_timeout: see `DBModel`.
            tag: see `DBModel`.
            inputs: see `DBModel`.
            outputs: see `DBModel`.

        Raises:
            FileNotFoundError: the file is not there.
            ValueError: there is neither model nor file, or an argument is out of range.
            SSUnsupportedError: there is one of that name.

        Example:
            ::

                ensemble.add_ml_model("cnn", "TORCH", model_path="cnn.pt", device="GPU", devices_per_node=2)
        """
        self.add_ml_model_object(
            DBModel(
                name,
                backend,
                model,
                model_path,
                device,
                devices_per_node,
                first_device,
                batch_size,
                min_batch_size,
                min_batch_timeout,
                tag,
                inputs,
                outputs,
                files=self._reader,
            )
        )

    def add_script(
        self,
        name: str,
        script: str | None = None,
        script_path: str | None = None,
        device: str = "CPU",
        devices_per_node: int = 1,
        first_device: int = 0,
    ) -> None:
        """Have a TorchScript script put into the database before the application starts.

        Args:
            name: see `DBScript`; so for the others.
            script: its text.
            script_path: the file that holds it otherwise.
            device: see `DBScript`.
            devices_per_node: see `DBScript`.
            first_device: see `DBScript`.

        Raises:
            FileNotFoundError: the file is not there.
            ValueError: there is neither text nor file, or an argument is out of range.
            SSUnsupportedError: there is one of that name.
        """
        self.add_script_object(
            DBScript(name, script, script_path, device, devices_per_node, first_device, files=self._reader)
        )

    def add_function(
        self,
        name: str,
        function: Callable[..., Any] | str | None = None,
        device: str = "CPU",
        devices_per_node: int = 1,
        first_device: int = 0,
    ) -> None:
        """Have a TorchScript function put into the database before the application starts.

        Args:
            name: see `DBScript`; so for the others.
            function: a Python function that TorchScript can compile, or its text.
            device: see `DBScript`.
            devices_per_node: see `DBScript`.
            first_device: see `DBScript`.

        Raises:
            ValueError: there is no function, or an argument is out of range.
            SSUnsupportedError: there is one of that name.
        """
        self.add_script_object(DBScript(name, function, None, device, devices_per_node, first_device))


def _existing(path: str | os.PathLike[str] | None, files: FileReader | None) -> str | None:
    if not path:
        return None
    absolute = os.path.abspath(os.fspath(path))
    entry = (PosixFileSystem() if files is None else files).inspect(absolute)
    if entry is None or entry.kind is not Kind.FILE:
        raise FileNotFoundError(f"{absolute} is not a file: give the path of the serialized model or of the script")
    return absolute
