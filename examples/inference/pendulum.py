"""A pendulum that is let go and swings to its lowest point. The acceleration comes from a model in the database.

Velocity Verlet; angles in radians, times in units of sqrt(length / gravity). It leaves its period in the database: four
times the time to the lowest point.
"""

from __future__ import annotations

import argparse

import numpy as np

from smartredis import Client

STEP = 0.01


class Force:
    """The model that the driver put into the database."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __call__(self, angle: float) -> float:
        """Return the acceleration at an angle."""
        self._client.put_tensor("angle", np.array([[angle]], dtype=np.float32))
        self._client.run_model("acceleration", inputs=["angle"], outputs=["acceleration"])
        return float(self._client.get_tensor("acceleration")[0, 0])


def swing(amplitude: float, force: Force) -> float:
    """Return the time from rest at `amplitude` to the lowest point."""
    time, angle, velocity, acceleration = 0.0, amplitude, 0.0, force(amplitude)
    while True:
        following = angle + STEP * velocity + STEP**2 / 2 * acceleration
        if following <= 0:
            return time + STEP * angle / (angle - following)
        before, acceleration = acceleration, force(following)
        velocity += STEP / 2 * (before + acceleration)
        time, angle = time + STEP, following


def main() -> None:
    """Swing, and tell the period."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--amplitude", type=float, required=True, help="the angle at which it is let go; above 0")
    amplitude: float = parser.parse_args().amplitude
    with Client(cluster=False) as client:
        period = 4 * swing(amplitude, Force(client))
        client.put_tensor("period", np.array([period]))
    print(f"amplitude {amplitude:g}: period {period:.4f}")


if __name__ == "__main__":
    main()
