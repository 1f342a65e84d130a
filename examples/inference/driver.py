"""Pendulums whose force is a neural network, served by the database beside them.

    python examples/inference/driver.py

The driver fits a small network to the acceleration of a pendulum and gives it to a database as TorchScript. Eight
simulations, one for each amplitude, then swing at once, and ask the database for the acceleration at every step. The
period of a pendulum is known, so each result is checked.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from tabulate import tabulate

from smartredis import Client
from smartsim import Experiment
from smartsim.ml.torch import serialize_model
from smartsim.status import SmartSimStatus

if TYPE_CHECKING:
    from smartsim.database import Orchestrator
    from smartsim.entity import Ensemble

HERE = Path(__file__).resolve().parent
MODEL = "acceleration"
BATCH_SIZE = 8  # requests that wait are run together, as long as there are fewer rows than this
AMPLITUDES = np.linspace(0.25, 2.0, 8)  # radians
TOLERANCE = 0.01  # relative, of the period
FITTED_TO = 2.5  # radians to both sides
POINTS, STEPS = 256, 300


def fit_acceleration() -> torch.nn.Module:
    """Return a network from an angle {n, 1} to the acceleration of the pendulum there {n, 1}, both as float32."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(1, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    angles = torch.linspace(-FITTED_TO, FITTED_TO, POINTS).reshape(-1, 1)
    accelerations = -torch.sin(angles)
    optimizer = torch.optim.LBFGS(
        network.parameters(), max_iter=STEPS, tolerance_grad=0, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        error = torch.nn.functional.mse_loss(network(angles), accelerations)
        error.backward()
        return error

    optimizer.step(loss)
    return network


def connect(database: Orchestrator) -> Client:
    """Return a client of the database."""
    return Client(cluster=False, address=database.get_address()[0])


def store(database: Orchestrator, network: torch.nn.Module) -> None:
    """Give the network to the database, which answers once a worker has loaded it."""
    blob, _, _ = serialize_model(network)
    with connect(database) as client:
        client.set_model(MODEL, blob, "TORCH", batch_size=BATCH_SIZE, tag="pendulum")


def create_ensemble(exp: Experiment) -> Ensemble:
    """Return the simulations, one for each amplitude, which reaches them through their arguments."""
    settings = exp.create_run_settings(sys.executable, exe_args=[str(HERE / "pendulum.py")])
    params = {"amplitude": [f"{amplitude:g}" for amplitude in AMPLITUDES]}
    ensemble = exp.create_ensemble("pendulum", params=params, params_as_args=["amplitude"], run_settings=settings)
    for member in ensemble:
        member.register_incoming_entity(member)  # it reads under its own name, where the model writes for it
    return ensemble


def exact_period(amplitude: float) -> float:
    """Return the period of a pendulum, in units of sqrt(length / gravity).

    Gauss' arithmetic-geometric mean (Carvalhaes and Suppes, American Journal of Physics 76, 2008, p. 1150).
    """
    a, g = 1.0, math.cos(amplitude / 2)
    while not math.isclose(a, g, rel_tol=1e-15):
        a, g = (a + g) / 2, math.sqrt(a * g)
    return 2 * math.pi / a


def report(database: Orchestrator, ensemble: Ensemble) -> bool:
    """Print what came out, and return whether it is right."""
    rows = []
    with connect(database) as client:
        for member in ensemble:
            period = float(client.get_tensor(f"{member.name}.period")[0])
            exact = exact_period(float(str(member.params["amplitude"])))
            rows.append((member.name, member.params["amplitude"], period, exact, abs(period / exact - 1)))
        (counted,) = client.get_ai_info(database.get_address(), MODEL)
    print(tabulate(rows, ("member", "amplitude", "period", "exact", "error"), floatfmt=("", "", ".4f", ".4f", ".1e")))
    duration = int(counted["run_time"]) / int(counted["batches"])
    print(
        f"{counted['calls']} requests in {counted['batches']} runs of {duration:.0f} us each; requests in a run: "
        f"{counted['batch_sizes']}"
    )
    return all(error < TOLERANCE for *_, error in rows)


def main() -> int:
    """Run everything, and say how it went."""
    parser = argparse.ArgumentParser(description="Run the pendulums.")
    parser.add_argument("--directory", type=Path, default=Path("inference"), help="where everything is written")
    directory: Path = parser.parse_args().directory
    directory.mkdir(parents=True, exist_ok=True)
    with Experiment("inference", exp_path=str(directory)) as exp:
        database = exp.create_database(port=0, intra_op_threads=1)  # more are of no use to such a small network
        ensemble = create_ensemble(exp)
        exp.generate(database, ensemble, overwrite=True)
        exp.start(database)
        store(database, fit_acceleration())
        exp.start(ensemble)
        completed = exp.get_status(ensemble) == [SmartSimStatus.STATUS_COMPLETED] * len(ensemble)
        return 0 if completed and report(database, ensemble) else 1


if __name__ == "__main__":
    sys.exit(main())
