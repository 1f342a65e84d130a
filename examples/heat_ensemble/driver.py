"""An ensemble of heat-equation solvers, a database between them and an analysis, and the analysis, all at once.

    python examples/heat_ensemble/driver.py

Nine solvers, three diffusivities times three places where the heat starts, stream their fields into the database while
they run. A consumer reads them as they come and checks each against the exact solution. In the end there are a table
and a picture.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from smartredis import Client
from smartsim import Experiment
from smartsim.status import SmartSimStatus

if TYPE_CHECKING:
    from smartsim.database import Orchestrator
    from smartsim.entity import Ensemble, Model

HERE = Path(__file__).resolve().parent
REFRESH = 0.1  # seconds between two looks at the progress


def create_ensemble(exp: Experiment, arguments: argparse.Namespace) -> Ensemble:
    """Return the solvers: every diffusivity with every source.

    The diffusivity reaches them through their input file, in which `;diffusivity;` is replaced; the source through
    their arguments.
    """
    settings = exp.create_run_settings(sys.executable, exe_args=[str(HERE / "solver.py"), "heat.ini"])
    params = {
        "diffusivity": arguments.diffusivities,
        "source": arguments.sources,
        "width": "0.05",
        "cells": arguments.cells,
        "frames": arguments.frames,
        "end_time": "0.5",
    }
    ensemble = exp.create_ensemble("heat", params=params, run_settings=settings, params_as_args=["source"])
    ensemble.attach_generator_files(to_configure=[str(HERE / "heat.ini")])
    return ensemble


def create_consumer(exp: Experiment, ensemble: Ensemble) -> Model:
    """Return the analysis, which may read what the members write."""
    members = json.dumps({member.name: member.params for member in ensemble})
    settings = exp.create_run_settings(sys.executable, exe_args=[str(HERE / "consumer.py"), members])
    consumer = exp.create_model("consumer", settings, enable_key_prefixing=True)
    for member in ensemble:
        consumer.register_incoming_entity(member)
    return consumer


def watch(exp: Experiment, database: Orchestrator, ensemble: Ensemble, consumer: Model, frames: int) -> None:
    """Show how far everybody is, until all have ended."""
    columns = TextColumn("{task.description}"), BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn()
    with Client(cluster=False, address=database.get_address()[0]) as client, Progress(*columns) as progress:
        bars = {
            f"{member.name}.progress": progress.add_task(
                f"{member.name}: D {member.params['diffusivity']}, source {member.params['source']}", total=frames
            )
            for member in ensemble
        }
        bars["consumer.checked"] = progress.add_task("frames checked", total=len(ensemble) * (frames + 1))
        ended = False
        while not ended:
            try:
                exp.wait(ensemble, consumer, timeout=REFRESH)
                ended = True
            except TimeoutError:
                if SmartSimStatus.STATUS_FAILED in exp.get_status(ensemble):
                    exp.stop(consumer)  # it would wait for frames that never come
            for key, bar in bars.items():
                if client.tensor_exists(key):
                    progress.update(bar, completed=int(client.get_tensor(key)[0]))


def read_arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description="Run the heat ensemble.")
    parser.add_argument("--directory", type=Path, default=Path("demo"), help="where everything is written")
    parser.add_argument("--cells", type=int, default=256, help="grid cells in each direction")
    parser.add_argument("--frames", type=int, default=25, help="frames that each member sends")
    parser.add_argument("--diffusivities", nargs="+", default=["0.01", "0.02", "0.04"], metavar="D")
    parser.add_argument("--sources", nargs="+", default=["0.25,0.25", "0.5,0.5", "0.6,0.2"], metavar="X,Y")
    return parser.parse_args()


def main() -> int:
    """Run everything, and say how it went."""
    arguments = read_arguments()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    with Experiment("heat_ensemble", exp_path=str(arguments.directory)) as exp:
        database = exp.create_database(port=0)
        ensemble = create_ensemble(exp, arguments)
        consumer = create_consumer(exp, ensemble)
        exp.generate(database, ensemble, consumer, overwrite=True)
        exp.start(database)
        exp.start(ensemble, consumer, block=False)
        watch(exp, database, ensemble, consumer, arguments.frames)
        statuses = exp.get_status(ensemble, consumer)
        print(f"\n{exp.summary()}\n")
    results = Path(consumer.path)
    print((results / "consumer.out").read_text(encoding="utf-8"))
    if any(status is not SmartSimStatus.STATUS_COMPLETED for status in statuses):
        print(f"Something failed: see above, and the .err files in {arguments.directory}", file=sys.stderr)
        return 1
    print(f"Table:   {results / 'heat.csv'}\nPicture: {results / 'heat.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
