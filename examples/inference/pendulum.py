"""A pendulum that is let go and swings to its lowest point. The acceleration comes from a model in the database.

Velocity Verlet; angles in radians, times in units of sqrt(length / gravity). It leaves its period in the database: four
times the time to the lowest point.
"""

from __future__ import annotations

import argparse
import os

import numpy as np
import redis

from smartredis import Client

STEP = 0.01


class Force:
    """The model that the driver put into the database.

    The tensors go through the client, the command that runs the model through a connection of redis-py: the client of
    this version has no `run_model` yet.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        host, _, port = os.environ["SSDB"].rpartition(":")
        self._connection = redis.Redis(host, int(port))
        # Members of an ensemble write under their own names, which the client puts before the keys.
        name = os.environ["SSKEYOUT"]
        inputs, outputs = (1, f"{name}.angle"), (1, f"{name}.acceleration")
        self._command = ("AI.MODELEXECUTE", "acceleration", "INPUTS", *inputs, "OUTPUTS", *outputs, "TIMEOUT", 10_000)

    def __call__(self, angle: float) -> float:
        """Return the acceleration at an angle."""
        self._client.put_tensor("angle", np.array([[angle]], dtype=np.float32))
        self._connection.execute_command(*self._command)
        return float(self._client.get_tensor("acceleration")[0, 0])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


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
        force = Force(client)
        period = 4 * swing(amplitude, force)
        client.put_tensor("period", np.array([period]))
        force.close()
    print(f"amplitude {amplitude:g}: period {period:.4f}")


if __name__ == "__main__":
    main()
