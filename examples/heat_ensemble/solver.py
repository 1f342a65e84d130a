"""A solver of the heat equation on the unit square with insulated walls.

Explicit in time, central in space (FTCS), written with fluxes between cells: what leaves one enters the next, so the
heat in the square is conserved up to rounding.

It reads the diffusivity and the discretisation from an input file, and where the heat starts from its command line.
While it runs it streams its temperature field into the database of the experiment, under the names `field_0`,
`field_1`, ..., and how many frames there are so far, under `progress`.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from configparser import ConfigParser
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smartredis import Client

STABILITY = 0.8  # the part of the largest stable time step that is taken

Field = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Heat:
    """A quantity of heat of 1, let go at one point of the square.

    Args:
        diffusivity: in squares of the square's side per unit of time.
        source: x and y of the point, between 0 and 1.
        width: the standard deviation of the Gaussian that the heat forms at first.
        cells: the grid has so many in each direction.
        frames: number of frames after the first one.
        end_time: the time of the last frame.
    """

    diffusivity: float
    source: tuple[float, float]
    width: float
    cells: int
    frames: int
    end_time: float

    def initial_field(self) -> Field:
        """Return the temperature at the start; shape (cells, cells), indices y and x."""
        centres = (np.arange(self.cells) + 0.5) / self.cells
        along_x, along_y = (np.exp(-0.5 * ((centres - at) / self.width) ** 2) for at in self.source)
        field: Field = np.outer(along_y, along_x)
        field /= field.mean()
        return field

    def fields(self) -> Iterator[Field]:
        """Yield the temperature at the start and after each frame; the array is reused."""
        field = self.initial_field()
        yield field
        interval = self.end_time / self.frames
        spacing = 1 / self.cells
        # dt <= dx^2 / (4 D): von Neumann's condition in two dimensions.
        largest = spacing**2 / (4 * self.diffusivity)
        steps = math.ceil(interval / (STABILITY * largest))
        number = self.diffusivity * (interval / steps) / spacing**2
        fluxes = np.empty((self.cells - 1, self.cells)), np.empty((self.cells, self.cells - 1))
        for _ in range(self.frames):
            for _ in range(steps):
                advance(field, number, *fluxes)
            yield field


def advance(field: Field, number: float, along_y: Field, along_x: Field) -> None:
    """Take one time step, in place.

    Args:
        field: the temperature; shape (n, n).
        number: diffusivity times time step over squared spacing; stable up to 1/4.
        along_y: room for the fluxes between rows; shape (n - 1, n).
        along_x: room for the fluxes between columns; shape (n, n - 1).
    """
    np.subtract(field[1:], field[:-1], out=along_y)
    np.subtract(field[:, 1:], field[:, :-1], out=along_x)
    along_y *= number
    along_x *= number
    field[:-1] += along_y
    field[1:] -= along_y
    field[:, :-1] += along_x
    field[:, 1:] -= along_x


def read_arguments() -> Heat:
    """Return what the input file and the command line ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", help="an INI file: see heat.ini")
    parser.add_argument("--source", required=True, metavar="X,Y", help="where the heat starts")
    arguments = parser.parse_args()
    config = ConfigParser()
    with open(arguments.input, encoding="utf-8") as file:
        config.read_file(file)
    section = config["heat"]
    x, y = map(float, arguments.source.split(","))
    return Heat(
        diffusivity=float(section["diffusivity"]),
        source=(x, y),
        width=float(section["width"]),
        cells=int(section["cells"]),
        frames=int(section["frames"]),
        end_time=float(section["end_time"]),
    )


def main() -> None:
    """Solve, and stream."""
    heat = read_arguments()
    with Client(cluster=False) as client:
        for frame, field in enumerate(heat.fields()):
            client.put_tensor(f"field_{frame}", field)
            client.put_tensor("progress", np.array([frame]))
            print(f"frame {frame} of {heat.frames}: hottest {field.max():.3f}", flush=True)


if __name__ == "__main__":
    main()
