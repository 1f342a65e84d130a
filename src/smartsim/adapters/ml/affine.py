"""A toy for tests: y = scale * x + shift, as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from smartsim.adapters.ml.framework import check_dtypes, failure
from smartsim.ports.model_runtime import WRONG_INPUTS, ModelBlob, ModelRuntimeError
from smartsim.ports.model_serializer import SerializedModel

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True)
class Affine:
    """A model of one input and one output, of equal shape and dtype.

    Attributes:
        scale: what each element is multiplied with.
        shift: what is added to it then.
    """

    scale: float
    shift: float

    @property
    def input_names(self) -> tuple[str, ...]:
        """``x``."""
        return ("x",)

    @property
    def output_names(self) -> tuple[str, ...]:
        """``y``."""
        return ("y",)

    def run(self, inputs: Sequence[npt.NDArray[Any]]) -> Sequence[npt.NDArray[Any]]:
        """Compute y; see `LoadedModel.run`."""
        if len(inputs) != 1:
            raise ModelRuntimeError(WRONG_INPUTS)
        check_dtypes("affine", inputs)
        (x,) = inputs
        return [(x * self.scale + self.shift).astype(x.dtype, order="C")]


class AffineRuntime:
    """Runs affine models in the place of a framework.

    Args:
        backend: the one that it plays.
    """

    def __init__(self, backend: str = "ONNX") -> None:
        self.backend = backend

    def load(self, model: ModelBlob, device: str) -> Affine:
        """Read the JSON; see `ModelRuntime.load`."""
        if device != "CPU":
            raise ModelRuntimeError(f"ERR {device} requested but affine models run on the CPU only")
        try:
            values = json.loads(model.blob)
            return Affine(float(values["scale"]), float(values["shift"]))
        except (ValueError, TypeError, KeyError) as error:
            raise failure(error, "this is no affine model") from error


class AffineSerializer:
    """Serializes affine models.

    Args:
        backend: the one that its runtime plays.
    """

    def __init__(self, backend: str = "ONNX") -> None:
        self.backend = backend

    def serialize(self, model: Any) -> SerializedModel:
        """Return the JSON; see `ModelSerializer.serialize`."""
        if not isinstance(model, Affine):
            raise TypeError(f"an affine model is an Affine, not {model!r}")
        blob = json.dumps(asdict(model), sort_keys=True).encode()
        return SerializedModel(blob, self.backend, model.input_names, model.output_names)
