"""`smart validate`: a database that runs, a tensor, and a model of each framework that is installed."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext, redirect_stdout
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from smartsim.app.cli.installation import not_installed
from smartsim.app.cli.options import Json
from smartsim.app.cli.sample_models import DOUBLING_MODELS
from smartsim.app.runtimes import installed_versions
from smartsim.domain.errors import SmartSimError

if TYPE_CHECKING:
    from smartsim.app.client.client import Client


class Device(StrEnum):
    """What is to run models."""

    CPU = "cpu"
    GPU = "gpu"


@dataclass(frozen=True)
class Outcome:
    """How it went with a backend.

    Args:
        state: the outcome.
        detail: what ran where, why it failed, or how to install it.
    """

    state: Literal["ok", "failed", "not installed"]
    detail: str


def validate(
    port: Annotated[int, typer.Option("--port", "-p", help="TCP port of the database; 0 for one that is free.")] = 0,
    device: Annotated[
        Device, typer.Option("--device", case_sensitive=False, help="What runs the models.")
    ] = Device.CPU,
    as_json: Json = False,
) -> None:
    """Start a database, have it keep a tensor, and run a model with each framework that is installed."""
    directory = tempfile.mkdtemp(prefix="smart-validate-")
    backends: dict[str, Outcome] = {}
    error = None
    try:
        with redirect_stdout(sys.stderr) if as_json else nullcontext():  # the log goes there, too
            _try_all(directory, port, device, backends)
    except (SmartSimError, OSError) as failure:
        error = str(failure)
    failed = [backend for backend, outcome in backends.items() if outcome.state == "failed"]
    if error is None and failed:
        error = f"No model could be run with {', '.join(failed)}"
    if error is None:
        shutil.rmtree(directory)
    _report(error, directory, backends, as_json=as_json)
    if error is not None:
        raise typer.Exit(os.EX_SOFTWARE)


def _report(error: str | None, directory: str, backends: Mapping[str, Outcome], *, as_json: bool) -> None:
    if as_json:
        facts = {
            "works": error is None,
            "error": error,
            "directory": None if error is None else directory,
            "backends": {backend: asdict(outcome) for backend, outcome in backends.items()},
        }
        typer.echo(json.dumps(facts, indent=2))
    elif error is not None:
        typer.echo(f"{error}\n\nThis installation does not work. Logs are in {directory}", err=True)
    else:
        typer.echo("This installation works.")


def _try_all(directory: str, port: int, device: Device, backends: dict[str, Outcome]) -> None:
    """Fill in how it went with each backend.

    Raises:
        SmartSimError: the database did not start, or has lost a tensor.
    """
    from smartsim.app.client.client import Client
    from smartsim.app.experiment import Experiment  # the other commands do without it

    with Experiment("validate", directory) as experiment:
        database = experiment.create_database(port=port, password=True)
        experiment.start(database)
        (address,) = database.get_address()
        typer.echo(f"A database was started at {address}.")
        with Client(cluster=False, address=address, password=database.password) as client:
            _exchange_a_tensor(client, address)
            typer.echo("A tensor was put into it and came back the same.")
            versions = installed_versions()
            for backend in DOUBLING_MODELS:
                outcome = _run_a_model(client, backend, device, versions.get(backend))
                backends[backend] = outcome
                typer.echo(f"{backend}: {outcome.detail}")
    typer.echo("The database was stopped.")


def _exchange_a_tensor(client: Client, address: str) -> None:
    import numpy as np

    tensor = np.arange(24, dtype=np.float64).reshape(2, 3, 4)
    client.put_tensor("validate", tensor)
    if not np.array_equal(client.get_tensor("validate"), tensor):
        raise SmartSimError(f"The tensor that came back from {address} is not the one that was sent")


def _run_a_model(client: Client, backend: str, device: Device, version: str | None) -> Outcome:
    import numpy as np

    if version is None:
        return Outcome("not installed", not_installed(backend))
    model = DOUBLING_MODELS[backend]
    chosen = "CPU" if backend == "TFLITE" else device.upper()  # which runs nowhere else
    key, output = f"double_{backend}", f"doubled_{backend}"
    tensor = np.arange(4, dtype=np.float32)
    try:
        client.put_tensor("numbers", tensor)
        client.set_model(
            key, model.blob, backend, chosen, inputs=list(model.inputs) or None, outputs=list(model.outputs) or None
        )
        client.run_model(key, inputs=["numbers"], outputs=[output])
        doubled = client.get_tensor(output)
    except SmartSimError as error:
        return Outcome("failed", f"version {version} failed to run a model on the {chosen}: {error}")
    if not np.array_equal(doubled, 2 * tensor):
        return Outcome("failed", f"version {version} made {doubled} of 2 * {tensor} on the {chosen}")
    return Outcome("ok", f"version {version} ran a model on the {chosen}")
