"""Reads the temperature fields of all members while they are computed, and checks each against what it must be.

Two things are known of the heat equation on the unit square with insulated walls: the heat in it does not change, and
for a Gaussian source the temperature is known at every point and time. A member that departs from either makes this
program end with exit code 1. It leaves a table, `heat.csv`, and a picture, `heat.png`.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from picture import Panel, draw
from tabulate import tabulate

from smartredis import Client

HEAT_TOLERANCE = 1e-9  # rounding is all that may change the heat
FIELD_TOLERANCE = 0.01  # relative, in the 2-norm; the solver's error goes with the square of its cells' size
PATIENCE = 60.0  # seconds to wait for one frame
LOOK_EVERY = 20  # milliseconds
REFLECTIONS = 3  # walls seen through each wall: more images are too far away to matter
HEADERS = ("member", "diffusivity", "source", "frames", "heat error", "field error", "verdict")

Field = npt.NDArray[np.float64]


@dataclass
class Member:
    """One simulation: what it was told, and how well it has done so far.

    Args:
        name: under which it writes.
        params: as the driver gave them to it.
    """

    name: str
    params: Mapping[str, str]
    frames: int = 0
    heat_error: float = 0.0
    field_error: float = 0.0
    latest: Field = field(default_factory=lambda: np.zeros((1, 1)))

    @property
    def good(self) -> bool:
        """Whether all frames have come, and hold."""
        complete = self.frames == int(self.params["frames"]) + 1
        return complete and self.heat_error <= HEAT_TOLERANCE and self.field_error <= FIELD_TOLERANCE

    def exact(self) -> Field:
        """Return what the latest frame must be; shape (cells, cells), indices y and x."""
        time = float(self.params["end_time"]) * (self.frames - 1) / int(self.params["frames"])
        variance = float(self.params["width"]) ** 2 + 2 * float(self.params["diffusivity"]) * time
        x, y = (
            exact_profile(float(at), variance, int(self.params["cells"])) for at in self.params["source"].split(",")
        )
        return np.outer(y, x)

    def take(self, frame: Field) -> None:
        """Check the next frame."""
        self.frames += 1
        self.latest = frame
        exact = self.exact()
        if frame.shape != exact.shape:
            raise SystemExit(f"{self.name} sent a field of shape {frame.shape}, not {exact.shape}")
        # NaN compares as false, so that it must not be lost here.
        heat_error, field_error = abs(frame.mean() - 1), np.linalg.norm(frame - exact) / np.linalg.norm(exact)
        self.heat_error = float(np.maximum(self.heat_error, heat_error))
        self.field_error = float(np.maximum(self.field_error, field_error))

    def row(self) -> tuple[str | int, ...]:
        """Return the member's line of the table."""
        return (
            self.name,
            self.params["diffusivity"],
            self.params["source"],
            self.frames,
            f"{self.heat_error:.1e}",
            f"{self.field_error:.4%}",
            "good" if self.good else "WRONG",
        )


def exact_profile(source: float, variance: float, cells: int) -> Field:
    """Return the heat of 1 that started as a Gaussian between two insulated walls at 0 and 1.

    A wall that lets nothing through acts as a mirror (method of images: Carslaw and Jaeger, Conduction of Heat in
    Solids, 2nd edition 1959, chapter X), and a Gaussian that spreads stays one, its variance growing by 2 D t.

    Args:
        source: where it started, between 0 and 1.
        variance: of the Gaussian by now.
        cells: how many there are between the walls.

    Returns:
        The temperature at the cells' centres; shape (cells,).
    """
    centres = (np.arange(cells) + 0.5) / cells
    images = [2 * k + sign * source for k in range(-REFLECTIONS, REFLECTIONS + 1) for sign in (1, -1)]
    distances = centres - np.array(images)[:, np.newaxis]
    profile: Field = np.exp(-(distances**2) / (2 * variance)).sum(axis=0) / np.sqrt(2 * np.pi * variance)
    return profile


def follow(client: Client, members: Sequence[Member]) -> None:
    """Take every frame of every member as it comes, and make room for the next."""
    last = max(int(member.params["frames"]) for member in members)
    for frame in range(last + 1):
        for count, member in enumerate(members, start=1):
            client.set_data_source(member.name)
            name = f"field_{frame}"
            if not client.poll_tensor(name, LOOK_EVERY, int(PATIENCE * 1000 / LOOK_EVERY)):
                raise SystemExit(f"{member.name} has not sent {name} within {PATIENCE:g} s")
            member.take(client.get_tensor(name))
            client.delete_tensor(name)
            client.put_tensor("checked", np.array([frame * len(members) + count]))


def report(members: Sequence[Member]) -> None:
    """Write the table and the picture, and print the table."""
    rows = [member.row() for member in members]
    with open("heat.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HEADERS, *rows])
    print(tabulate(rows, HEADERS, tablefmt="simple", disable_numparse=True))
    panels = [
        Panel(
            row=f"D = {member.params['diffusivity']}",
            column=f"source at ({member.params['source'].replace(',', ', ')})",
            caption=f"heat {member.latest.mean():.6f}, error {member.field_error:.3%}",
            good=member.good,
            field=member.latest,
            exact=member.exact(),
        )
        for member in members
    ]
    draw("heat.png", f"Heat in a square, t = {members[0].params['end_time']}", panels)


def main() -> int:
    """Read, check, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("members", type=json.loads, help="JSON: the parameters of each member, by its name")
    members = [Member(name, params) for name, params in parser.parse_args().members.items()]
    with Client(cluster=False) as client:
        follow(client, members)
    report(members)
    wrong = [member.name for member in members if not member.good]
    if wrong:
        print(f"Not as they must be: {', '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
