"""From a model in memory to what the database keeps of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class SerializedModel:
    """A model as the database takes it.

    Attributes:
        blob: its bytes: the same for the same model.
        backend: what the database calls the framework: ``TORCH``, ``ONNX``, ``TF`` or ``TFLITE``.
        inputs: names of its inputs. Those of a TF model have to be handed to the database with it.
        outputs: names of its outputs, likewise.
    """

    blob: bytes
    backend: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


class ModelSerializer(Protocol):
    """Serializes the models of one framework. Making one imports nothing; `serialize` does."""

    @property
    def backend(self) -> str:
        """What the database calls the models that come out."""
        ...

    def serialize(self, model: Any) -> SerializedModel:
        """Return a model as the database takes it.

        Args:
            model: what the framework calls a model; each serializer says which kinds it takes.

        Raises:
            ModuleNotFoundError: the framework is not installed; the message names the extra that brings it.
            TypeError: this is no model of the framework.
            ValueError: it is one, and cannot be serialized.
        """
        ...
