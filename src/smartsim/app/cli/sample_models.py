"""A model for each backend that doubles a tensor of float32 numbers of any length, as its framework writes it.

They are here as bytes, since what runs a model does not always come with what makes one, and frameworks that make one
do not always get along in one process. Each was made by its own: `torch.jit.CompilationUnit`, `onnx.helper`, a frozen
graph of TensorFlow, and its `TFLiteConverter`, of `x + x`.
"""

from __future__ import annotations

import zlib
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class DoublingModel:
    """A model as `set_model` takes it.

    Args:
        packed: its bytes, by zlib and base64.
        inputs: the names of its inputs, where a backend wants them.
        outputs: likewise.
    """

    packed: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    @property
    def blob(self) -> bytes:
        """The bytes of its file."""
        return zlib.decompress(b64decode(self.packed))


DOUBLING_MODELS: Final[Mapping[str, DoublingModel]] = {
    "TORCH": DoublingModel(
        "eNoL8GZmYWDg4GDAAAIMQgyJRckZmWWp+imJJYl6Bdk5bk58DFEooIEpOT6+JB+oLj6eKyAnMTk1Iz8nJbXINz+lNCeVq5BBs7FW"
        "IwJkfElRYmZeZl56IWNHaVIhk16ANzuHBUPiUyugHAgH4HSJJIM93CXJ+Smp+nAb9Qoq3Zys0ZxEEkjOSSwuVsBwuAaE0rTiUlCI"
        "jy9ILErMTS1JLSqOj1ewVYiOBYsmlaaloQjBfKhgpZCUn58DFElJTVNIyy8qTyxK0ShOzUmzUkA4HcNOHaAGBYUKK4WQ1Lzi/CJN"
        "BV07KNMKLFOUWlJalKcA1q+XmJKiUaGjUKHJBQrH2ANxtYeAIXUIGo4iwHDEDEhlBl3c4aiXkppUmh4PjmRN4kPUtut01yEHEZf8"
        "RzZz1qSVMW9+mcqmKK+gpPHj0a8GiQ3mlzKEfLM77m07qnP36/8f7P9myoqLsYZeWbn6dD3jAntu9bkeOm4XA84sLjCR7VhxWfY7"
        "R02e4YTD+3NVXrbl8r3aFNQZ/8/ctuhn/9yZU72+RoquSeENqwp5XLp7u1/UyaTby8x933NstFthwV0WxP5I43HtvKrXm88IK3LP"
        "PT3524vD8b9W8gkK8NTaLf6ku5rB6oVSyI62voVW/xSNtz20rY7lrZ35gBEUfMcr9+49CAygK3iToSiDDVLw5RWXJOaVFENyhQXZ"
        "SbCBSROcE3L1OcOB9jKw4HUCP1JOKAOmvcz8PArTvzE4/Vyclx7KBDSfCa/tgki2J1WWpOYXAdMuhfbnZJaU5KSC3NBq+1iSDWgL"
        "G143yDHowd2gByqW9ItTizITczKrEkuAoRGfmeLmpEWCgwwMTI0NzcwtDEwNDU0MzYwtLUyNDczNTcwsTcxMTMzNDAwMjE2MLI1B"
        "Ltz4/U+cBtANGmAXMoICC+5G5JJMAMPV6OUoum7k/CuJorMLSTdGnoUYg8jsyOlYGcWYS4wMxGR9dHchp0pR1LTAzIA9M6AbgZy0"
        "+FGMmIJkBDQxo2tGThOCKJqFWBgw0yK6duQIk0PRPg1JO/ZkFODNxqYDS3TMunCd7Gj0Q0ZoAmCF0EB9YClJqAJGsBgrG0QPO1g9"
        "RC0ARNXtNg==",
    ),
    "ONNX": DoublingModel(
        "eNrj4LAy5eLjYqwAIiHGSiVmx5QUIdb0osSCjChekBgHFxsHoxATF0MSkFuJ4DqxcDEICAIAPygIcQ==",
    ),
    "TF": DoublingModel(
        "eNrjMudirBDiDshJTE7NyM9JSS3S4uZiTSmpLEgVYjJg1JLgYi3OSARy+K14hbg5/sMAI5c0F3NiSooQq2NKSpiRFGMFEGmxczGG"
        "gLQBJRkrhTg8U1LzSjJLKqVAKuGSSswcq4QBHfQf6w==",
        inputs=("x",),
        outputs=("y",),
    ),
    "TFLITE": DoublingModel(
        "eNplUj1Lw1AUPWljDTTUQosUKZihc7C1/oBSKxT6ATW4WGiFZsjQFGoUBXF0cnJ2dOzg4Ozkz3D0dxjPe7ktUR8ccnPuved+vFcF"
        "4J30DstwUEUFZRRhk7Ng0ga5BBFRM4AmMc4AWSSHJpqESXzGcWyKXSLaw8FZZ3TaHQ4m/Y7XOm55LeraWttCorGOnQfhZHkVRsHc"
        "n1z7y8tgEWKL/Ip4IZ6JO4l/kjpToih9WChsdBVX02xOcznJU8fezGjqOT8a53v3D/ulrMxi6iyg4Tbq7sF/DaVdd48Sl5zVdxy/"
        "Em/EDv/7ve7IaS9CzhH5Mxdcmd4l2OO6utIsCK/2O5Z5ZlJnfhGEKiOdW9b1beQlV2bP22I3uRdDcjKp/owU1nc2lTrvzFEupV0R"
        "KL8j8XTHj4Taa3fm84KiW/zS29XvBpuXo+5im2xSOq1rpL5K90v6vfnTo6V7M3V/P0TIUiE=",
    ),
}
