"""`manifest.json`, as tools for the old system read it: what was started by which call, out of the same events.

The schema is "entity manifest" 0.0.4. Times in it are nanoseconds since the epoch, and paths are absolute.
`status_files` has the files beside it.
"""

from __future__ import annotations

import json
import posixpath
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from smartsim.app.status_files import directory_of, ids
from smartsim.domain import record
from smartsim.domain.history import History, JobHistory, RunHistory
from smartsim.domain.record_facts import Files

if TYPE_CHECKING:
    from smartsim.domain.record_facts import BatchOptions, DatabaseFacts, MLObject, ShardFacts
    from smartsim.ports.file_system import FileSystem

MANIFEST_FILE = ".smartsim/telemetry/manifest.json"
_SCHEMA = {"schema_name": "entity manifest", "version": "0.0.4"}
_LAUNCHERS = {"local": "Local", "pbs": "PBS", "pals": "PBS", "lsf": "LSF", "sge": "SGE"}
_LAUNCH = (record.Launching, record.Launched, record.LaunchFailed)
_TOLD = frozenset((*_LAUNCH, record.Submitted, record.Queued, record.Started, record.DatabaseReady))  # no ends
_PATIENCE = 10.0  # seconds that another driver may take to write it

_Json: TypeAlias = dict[str, Any]


class ManifestFile:
    """Adds each call of `start` to the manifest, once all of it was started.

    Several drivers may do so: each waits for the others, and who reads sees the old content or the new.

    Args:
        opened: tells of the experiment.
        exp_path: its directory.
        files: where the manifest is.
    """

    def __init__(self, opened: record.Opened, exp_path: str, files: FileSystem) -> None:
        self._opened = opened
        self._exp_path = exp_path
        self._files = files
        self._path = posixpath.join(exp_path, MANIFEST_FILE)
        self._lock = threading.Lock()
        self._history: History | None = None  # of a call that has not returned

    def __call__(self, events: Sequence[record.Event]) -> None:
        """Take in events.

        Raises:
            OSError: the manifest cannot be written.
        """
        for event in events:
            if type(event) not in _TOLD:
                continue
            with self._lock:
                if isinstance(event, record.Launching):
                    self._history = History()
                history = self._history
                if history is None:
                    continue
                history.add(event)
                if isinstance(event, record.Launched | record.LaunchFailed):
                    self._history = None
            if isinstance(event, record.Launched):
                self._add(run_entry(history, event.run_id, self._exp_path))

    def _add(self, run: _Json) -> None:
        self._files.make_directory(posixpath.dirname(self._path))
        with self._files.locked(f"{self._path}.lock", _PATIENCE):
            runs = _read_runs(self._files, self._path)
            manifest = {
                "schema info": _SCHEMA,
                "experiment": experiment_entry(self._opened, self._exp_path),
                "runs": [*runs, run],
            }
            self._files.write(self._path, json.dumps(manifest).encode() + b"\n")


def _read_runs(files: FileSystem, path: str) -> list[object]:
    """Return the runs of a manifest; none when there is no manifest, or it is none of this schema."""
    try:
        manifest = json.loads(files.read(path))
    except (FileNotFoundError, ValueError):
        return []
    match manifest:
        case {"schema info": {"version": "0.0.4"}, "runs": list(runs)}:
            return runs
    return []


def experiment_entry(opened: record.Opened, exp_path: str) -> _Json:
    """Return what the manifest says of the experiment."""
    logs = posixpath.join(exp_path, ".smartsim/telemetry/logs")
    return {
        "name": opened.experiment,
        "path": exp_path,
        "launcher": _LAUNCHERS.get(opened.launcher, opened.launcher.capitalize()),
        "out_file": f"{logs}/smartsim.out",
        "err_file": f"{logs}/smartsim.err",
    }


def run_entry(history: History, run_id: str, exp_path: str) -> _Json:
    """Return what the manifest says of one call of `start`.

    Args:
        history: in which the call is.
        run_id: of the call.
        exp_path: the directory of the experiment.
    """
    run = history.runs[run_id]
    return {
        "run_id": run_id,
        "timestamp": int(run.facts.at * 1e9),
        "model": [_model(job, exp_path) for job in _applications(run, "")],
        "orchestrator": [_database(history, facts, exp_path) for facts in run.facts.databases],
        "ensemble": [
            {
                "name": ensemble.name,
                "params": dict(ensemble.params),
                "batch_settings": _batch(ensemble.batch),
                "models": [_model(job, exp_path) for job in _applications(run, ensemble.name)],
            }
            for ensemble in run.facts.ensembles
        ],
    }


def _applications(run: RunHistory, ensemble: str) -> list[JobHistory]:
    return [job for job in run.jobs.values() if not job.facts.database and job.facts.ensemble == ensemble]


def _model(job: JobHistory, exp_path: str) -> _Json:
    facts = job.facts
    attached = facts.files or Files()
    strategies = {"Symlink": attached.symlink, "Configure": attached.configure, "Copy": attached.copy}
    entry: _Json = {"name": facts.entity, "path": record.absolute(facts.directory, exp_path)}
    if facts.settings is not None:
        options = facts.settings
        entry["exe_args"] = list(options.exe_args)
        entry["run_settings"] = {
            "exe": list(options.exe),
            "run_command": options.run_command or None,
            "run_args": dict(options.run_args),
        }
    entry |= {
        "batch_settings": _batch(facts.batch),
        "params": dict(facts.params),
        "files": {name: [record.absolute(path, exp_path) for path in paths] for name, paths in strategies.items()},
        "colocated_db": {},
    }
    if facts.colocated:
        entry["colocated_db"] = {
            "settings": dict(facts.colocated),
            "scripts": _ml_objects(facts.ml_scripts),
            "models": _ml_objects(facts.ml_models),
        }
    return entry | _outputs(job, exp_path)


def _database(history: History, facts: DatabaseFacts, exp_path: str) -> _Json:
    ready = history.databases[facts.name].ready
    return {
        "name": facts.name,
        "type": "redis",  # the protocol, by the word that such tools know
        "interface": list(facts.interfaces),
        "shards": [
            _shard(history.entities[shard.name][-1], shard, facts, exp_path)
            for shard in (() if ready is None else ready.shards)
        ],
    }


def _shard(job: JobHistory, shard: ShardFacts, facts: DatabaseFacts, exp_path: str) -> _Json:
    is_cluster = facts.shards > 1
    nodes = posixpath.join(facts.directory, f"{shard.name}_nodes.conf")
    status = directory_of(job.facts, exp_path)
    return {
        "name": shard.name,
        "hostname": shard.host,
        "port": shard.port,
        "cluster": is_cluster,
        "conf_file": record.absolute(nodes, exp_path) if is_cluster else None,
        "memory_file": posixpath.join(status, "memory.csv"),
        "client_file": posixpath.join(status, "client.csv"),
        "client_count_file": posixpath.join(status, "client_count.csv"),
        **_outputs(job, exp_path),
    }


def _outputs(job: JobHistory, exp_path: str) -> _Json:
    step_id, task_id = ids(job.facts, job.native_id)
    return {
        "telemetry_metadata": {
            "status_dir": directory_of(job.facts, exp_path),
            "step_id": step_id,
            "task_id": task_id,
            "managed": bool(step_id),
        },
        "out_file": record.absolute(job.facts.stdout, exp_path),
        "err_file": record.absolute(job.facts.stderr, exp_path),
    }


def _batch(options: BatchOptions | None) -> _Json:
    return {} if options is None else {"batch_command": options.command, "batch_args": dict(options.args)}


def _ml_objects(objects: Sequence[MLObject]) -> list[Mapping[str, Any]]:
    return [{found.name: {"backend": found.backend, "device": found.device}} for found in objects]
