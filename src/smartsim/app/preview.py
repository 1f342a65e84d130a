"""What a start would launch, told beforehand: as text for people, and as JSON for programs.

Commands and scripts are those of the launch itself: they are made by what makes them then, on a file system in memory.
Only the identifier of the launch is not known yet; `RUN` stands for it.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from smartsim.adapters.filesystem.in_memory import InMemoryFileSystem
from smartsim.app.databases import ShardStart
from smartsim.app.launching import OUTPUT_DIRECTORY
from smartsim.app.ml_uploads import MLObjects
from smartsim.app.secret_files import ADMINISTRATOR
from smartsim.app.steps import StepFactory
from smartsim.app.workload_managers import script_text
from smartsim.domain.errors import PreviewFormatError
from smartsim.ports.database_server import Credentials

if TYPE_CHECKING:
    from smartsim.app.bootstrap import Adapters
    from smartsim.app.ensemble import Ensemble
    from smartsim.app.launching import Manifest
    from smartsim.app.model import Model
    from smartsim.app.orchestrator import Orchestrator
    from smartsim.domain.client_environment import Endpoint
    from smartsim.domain.database import ShardPlan
    from smartsim.domain.ml_objects import DBObject
    from smartsim.domain.settings.batch import BatchSettings
    from smartsim.domain.steps import Batch, Step

RUN = "RUN"
"""What stands for the identifier of the launch, which is drawn when it is made."""


class Verbosity(StrEnum):
    """How much a preview tells."""

    INFO = "info"
    """What the user has set."""
    DEBUG = "debug"
    """Also what follows from it: paths, outputs, and what clients are told."""
    DEVELOPER = "developer"
    """Also commands, environments and batch scripts, as they will be."""


class Format(StrEnum):
    """In which form a preview tells it."""

    PLAINTEXT = "plain_text"
    JSON = "json"


def check_format(output_format: Format | str) -> Format:
    """Return a format, given as such or as its name.

    Raises:
        PreviewFormatError: there is none of that name.
    """
    try:
        return Format(output_format)
    except ValueError:
        raise PreviewFormatError(
            f"{output_format!r} is not a format of previews: choose among {', '.join(form.value for form in Format)}"
        ) from None


class Preview:
    """Describes what a start of some entities would launch.

    Args:
        name: of the experiment.
        exp_path: its directory.
        launcher: the name of the launcher.
        adapters: those of the experiment; nothing is written by them, and nothing started.
        running: the databases that run.
        endpoints: of those.
    """

    def __init__(
        self,
        name: str,
        exp_path: str,
        launcher: str,
        adapters: Adapters,
        running: Sequence[Orchestrator],
        endpoints: Sequence[Endpoint],
    ) -> None:
        self._experiment = {"Experiment Name": name, "Experiment Path": exp_path, "Launcher": launcher}
        self._launcher = launcher
        self._adapters = adapters
        self._running = running
        self._endpoints = endpoints
        outputs = posixpath.join(exp_path, OUTPUT_DIRECTORY, name, RUN)
        self._steps = StepFactory(
            outputs, InMemoryFileSystem(), adapters.database_server, adapters.clock, os.environ.keys()
        )
        self._objects = MLObjects(adapters.files)

    def describe(self, manifest: Manifest, verbosity: Verbosity) -> dict[str, Any]:
        """Return everything as JSON values: sections of fields, by the titles that people read."""
        described: dict[str, Any] = {"Experiment Overview": self._experiment}
        sections = {
            "Active Infrastructure": [_active(database) for database in self._running],
            "Orchestrators": [self._database(database) for database in manifest.databases],
            "Models": [self._model(model) for model in manifest.models],
            "Ensembles": [self._ensemble(ensemble) for ensemble in manifest.ensembles],
        }
        described["Entity Preview"] = {title: entries for title, entries in sections.items() if entries}
        shown: dict[str, Any] = _only(described, verbosity)
        return shown

    def _database(self, database: Orchestrator) -> dict[str, Any]:
        if database in self._running:
            text = f"WARNING: Cannot preview {database.name}, because it is already started."
            return {"Database Identifier": database.name, "Note": text}
        batch = self._batch(database.name, f"database/{database.name}", database.path, database.batch_settings)
        plans = database.plan((), database.port, announcements=posixpath.join(database.path, database.name))
        steps = [self._shard(database, plan, index, batch) for index, plan in enumerate(plans)]
        return {
            "Database Identifier": database.name,
            "Path": database.path,
            "Shards": database.num_shards,
            **({"Replicas of each Shard": database.replicas} if database.replicas else {}),
            "TCP/IP Port(s)": [port or "any that is free" for port in database.ports],
            "Network Interface": ", ".join(database.interfaces),
            "Type": "Clustered" if database.is_cluster else "Standalone",
            **_batch_fields(database.batch_settings),
            **self._commands(steps, batch),
        }

    def _shard(self, database: Orchestrator, plan: ShardPlan, index: int, batch: Batch | None) -> Step:
        credentials = Credentials(ADMINISTRATOR, "")
        command = self._adapters.database_server.command(plan, credentials)
        settings = database.shard_settings(command.argv, index, self._adapters.nodes)
        return self._steps.shard(ShardStart(database, plan, credentials, None, settings), batch)

    def _ensemble(self, ensemble: Ensemble) -> dict[str, Any]:
        place = f"ensemble/{ensemble.name}"
        batch = self._batch(ensemble.name, place, ensemble.path, ensemble.batch_settings)
        steps = [self._application(member, f"{place}/{member.name}", batch) for member in ensemble.models]
        members = [self._application_fields(member, step) for member, step in zip(ensemble.models, steps, strict=True)]
        return {
            "Ensemble Name": ensemble.name,
            "Path": ensemble.path,
            "Members": len(members),
            **({"Ensemble Parameters": _words(ensemble.params)} if ensemble.params else {}),
            **_batch_fields(ensemble.batch_settings),
            **({"Batch Script": self._script(batch, steps)} if batch is not None else {}),
            "Models": members,
        }

    def _model(self, model: Model) -> dict[str, Any]:
        place = f"model/{model.name}"
        batch = self._batch(model.name, place, model.path, model.batch_settings)
        step = self._application(model, place, batch)
        return {
            **self._application_fields(model, step),
            **_batch_fields(model.batch_settings),
            **({"Batch Script": self._script(batch, [step])} if batch is not None else {}),
        }

    def _application_fields(self, model: Model, step: Step) -> dict[str, Any]:
        settings = model.run_settings
        return {
            "Model Name": model.name,
            "Path": model.path,
            "Executable": " ".join(settings.exe),
            "Executable Arguments": list(settings.exe_args),
            "Run Command": settings.run_command,
            "Run Arguments": _words(settings.run_args),
            "Model Parameters": _words(model.params),
            **_files(model),
            **_colocated(model),
            **_ml_objects(model),
            "Key Prefix": model.name if model.query_key_prefixing() else None,
            "Client Configuration": self._client(model),
            **self._commands([step], None),
        }

    def _application(self, model: Model, place: str, batch: Batch | None) -> Step:
        return self._steps.application(model, place, self._endpoints, self._objects, batch)

    def _batch(self, name: str, place: str, directory: str, settings: BatchSettings | None) -> Batch | None:
        return None if settings is None else self._steps.batch(name, place, directory, settings)

    def _client(self, model: Model) -> list[dict[str, Any]]:
        """Return what the application's clients are told."""
        prefixing = "On" if model.query_key_prefixing() else "Off"
        kinds = ("Tensors", "Datasets", "ML Models", "Torch Scripts", "Aggregation Lists")
        # Models and scripts are everybody's, as clients have it.
        prefixed = {kind: prefixing if kind not in ("ML Models", "Torch Scripts") else "Off" for kind in kinds}
        return [
            {
                "Database Identifier": endpoint.identifier,
                "Addresses": list(map(str, endpoint.addresses)),
                "Type": "Clustered" if len(endpoint.addresses) > 1 else "Standalone",
                "Outgoing Key Collision Prevention (Key Prefixing)": prefixed,
            }
            for endpoint in self._endpoints
        ]

    def _commands(self, steps: Sequence[Step], batch: Batch | None) -> dict[str, Any]:
        return {
            "Commands": [
                {
                    "Command": list(step.command),
                    "Working Directory": step.working_directory,
                    "Environment": dict(step.environment),
                    "Output": step.stdout,
                    "Errors": step.stderr,
                }
                for step in steps
            ],
            **({"Batch Script": self._script(batch, steps)} if batch is not None else {}),
        }

    def _script(self, batch: Batch, steps: Sequence[Step]) -> str:
        return script_text(self._launcher, batch, steps)


def _active(database: Orchestrator) -> dict[str, Any]:
    return {
        "Database Identifier": database.name,
        "Shards": database.num_shards,
        "TCP/IP Port(s)": [address.rpartition(":")[2] for address in database.get_address()],
        "Network Interface": ", ".join(database.interfaces),
        "Type": "Clustered" if database.is_cluster else "Standalone",
    }


def _batch_fields(settings: BatchSettings | None) -> dict[str, Any]:
    if settings is None:
        return {}
    return {"Batch Launch": True, "Batch Command": settings.batch_cmd, "Batch Arguments": list(settings.directives())}


def _files(model: Model) -> dict[str, Any]:
    if model.files is None:
        return {}
    destinations = {
        "Tagged Files for Model Configuration": model.files.configure,
        "Copy Files": model.files.copy,
        "Symlink Files": model.files.symlink,
    }
    return {
        title: [f"{path} -> {posixpath.join(model.path, posixpath.basename(path))}" for path in paths]
        for title, paths in destinations.items()
    }


def _colocated(model: Model) -> dict[str, Any]:
    settings = model.run_settings.colocated_db_settings
    if settings is None:
        return {}
    place = (
        {"Unix Socket": settings.get("unix_socket") or "in a private directory"}
        if "unix_socket" in settings
        else {"TCP/IP Port(s)": settings["port"] or "any that is free", "Network Interface": settings.get("ifname")}
    )
    return {"Colocated": {"Database Identifier": settings["db_identifier"], "CPUs": settings["cpus"], **place}}


def _ml_objects(model: Model) -> dict[str, Any]:
    return {
        "ML Models": [_ml_object(each) | {"Backend": each.backend} for each in model.db_models],
        "Torch Scripts": [_ml_object(each) for each in model.db_scripts],
    }


def _ml_object(brought: DBObject) -> dict[str, Any]:
    source = brought.file_path if brought.is_file else "in memory"
    return {"Name": brought.name, "Content": source, "Devices": brought.devices}


def _words(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value if isinstance(value, list | dict | int | float) else str(value) for name, value in values.items()
    }


_HIDDEN = {
    Verbosity.INFO: ("Path", "Client Configuration", "Key Prefix", "Commands", "Batch Script"),
    Verbosity.DEBUG: ("Commands", "Batch Script"),
    Verbosity.DEVELOPER: (),
}


def _only(described: Any, verbosity: Verbosity) -> Any:
    """Return what a verbosity shows, without what is empty."""
    if isinstance(described, dict):
        shown = {key: _only(value, verbosity) for key, value in described.items() if key not in _HIDDEN[verbosity]}
        return {key: value for key, value in shown.items() if value not in (None, "", [], {})}
    if isinstance(described, list):
        return [_only(value, verbosity) for value in described]
    return described
