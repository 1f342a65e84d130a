"""Generating an experiment: directories, attached files, and parameters written into input files."""

from __future__ import annotations

import logging
import posixpath
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from smartsim.app.logs import get_logger
from smartsim.domain.attached_files import PARAMETER_FILE
from smartsim.domain.errors import EntityExistsError, ParameterWriterError, SmartSimError
from smartsim.domain.parameter_file import configured_entry, generation_header
from smartsim.domain.templates import Template
from smartsim.ports.file_system import FileSystem, Kind, Placing

if TYPE_CHECKING:
    from smartsim.app.ensemble import Ensemble
    from smartsim.app.model import Model
    from smartsim.app.orchestrator import Orchestrator


@dataclass(frozen=True)
class _Source:
    """One file to configure, read and taken apart once for all members that share it."""

    template: Template
    mode: int


@dataclass
class Generation:
    """One call of `Experiment.generate`.

    Everything that can be wrong with the input is found before anything is written; when writing fails, the directories
    made so far are removed again.

    Args:
        files: where to write.
        exp_path: the directory of the experiment.
        now: seconds since the epoch, for the record of parameters.
        tag: the tag text.
        overwrite: whether directories that exist are removed first.
        verbose: whether each model is told at level INFO.
    """

    files: FileSystem
    exp_path: str
    now: float
    tag: str
    overwrite: bool
    verbose: bool
    _made: list[str] = field(default_factory=list)
    _sources: dict[tuple[str, frozenset[str]], _Source] = field(default_factory=dict)
    _entries: list[str] = field(default_factory=list)

    def run(self, models: Sequence[Model], ensembles: Sequence[Ensemble], databases: Sequence[Orchestrator]) -> None:
        """Generate entities.

        Raises:
            EntityExistsError: a directory exists already; nothing was written.
            ParameterWriterError: a file to configure cannot be read as text; nothing was written.
            FileExistsError: the experiment's path is a file.
            SmartSimError: the file system refuses; what was made is removed again.
        """
        everyone = [*models, *(member for ensemble in ensembles for member in ensemble.models)]
        if self.overwrite:
            self._refuse_outside([*everyone, *ensembles, *databases])
        else:
            self._refuse_existing(everyone)
        for model in everyone:
            self._read_sources(model)
        try:
            self._make_experiment()
            for database in databases:
                self._make_database(database)
            for ensemble in ensembles:
                self._make(ensemble.path)
            for model in everyone:
                self._make_model(model)
            stamp = time.strftime("%d/%m/%Y %H:%M:%S", time.localtime(self.now))
            text = generation_header(stamp) + "".join(self._entries)
            self.files.write(posixpath.join(self.exp_path, PARAMETER_FILE), text.encode())
        except BaseException as error:
            for path in reversed(self._made):
                with suppress(OSError):  # what failed first is what is told
                    self.files.remove(path)
            if isinstance(error, OSError) and error.errno is not None:
                raise SmartSimError(
                    f"Cannot generate {error.filename}: {error.strerror}. Nothing was generated; choose a directory "
                    "that can be written, or correct its permissions"
                ) from error
            raise

    def _refuse_existing(self, models: Sequence[Model]) -> None:
        for model in models:
            if self.files.inspect(model.path) is not None:
                raise EntityExistsError(
                    f"Directory for entity {model.name} already exists in path {model.path}: "
                    "remove it, or generate with overwrite=True to have it replaced"
                )

    def _refuse_outside(self, entities: Sequence[Model | Ensemble | Orchestrator]) -> None:
        """Only what lies within the experiment is the experiment's to remove."""
        for entity in entities:
            path = posixpath.normpath(entity.path)
            if not path.startswith(self.exp_path + "/") and self.files.inspect(path) is not None:
                raise SmartSimError(
                    f"The directory {path} of {entity.name} exists, and lies outside of the experiment "
                    f"{self.exp_path}, so overwrite=True does not remove it: remove it yourself, or choose another path"
                )

    def _make_experiment(self) -> None:
        entry = self.files.inspect(self.exp_path)
        if entry is not None and entry.kind is not Kind.DIRECTORY:
            raise FileExistsError(f"The experiment's path {self.exp_path} is a file: choose another, or move it away")
        if entry is not None:
            level = logging.INFO if self.verbose else logging.DEBUG
            get_logger(__name__).log(level, "Working in previously created experiment")
        else:
            self.files.make_directory(self.exp_path)
            self._made.append(self.exp_path)

    def _make(self, path: str, mode: int = 0o777) -> None:
        if self.overwrite:
            self.files.remove(path)
        elif self.files.inspect(path) is not None:
            return
        self.files.make_directory(path, mode)
        self._made.append(path)

    def _make_database(self, database: Orchestrator) -> None:
        # What it saves is for its owner alone, as is its password.
        self._make(database.path, 0o700)
        database.remove_stale_files()

    def _make_model(self, model: Model) -> None:
        self._make(model.path)
        configured: dict[str, dict[str, str]] = {}
        if model.files is not None:
            for source in model.files.copy:
                self.files.place(source, self._destination(source, model.path), Placing.COPY)
            for source in model.files.symlink:
                self.files.place(source, posixpath.join(model.path, posixpath.basename(source)), Placing.SYMLINK)
            for source in model.files.configure:
                configured.update(self._configure(source, model))
        if configured:
            entry = configured_entry(model.name, configured)
            self._entries.append(entry)
            self.files.write(posixpath.join(model.path, PARAMETER_FILE), entry.encode())
        logger, level = get_logger(__name__), logging.INFO if self.verbose else logging.DEBUG
        if logger.isEnabledFor(level):
            used = {name: value for values in configured.values() for name, value in values.items()}
            text = "params " + ", ".join(f"{name}={value}" for name, value in used.items()) if used else "no parameters"
            logger.log(level, f"Configured model {model.name} with {text}")

    def _destination(self, source: str, directory: str) -> str:
        """Where a copy goes: a directory gives its contents, a file goes under its own name."""
        entry = self.files.inspect(source)
        if entry is not None and entry.kind is Kind.DIRECTORY:
            return directory
        return posixpath.join(directory, posixpath.basename(source))

    def _read_sources(self, model: Model) -> None:
        """Read every file that a model wants configured, and see that the others are there."""
        if model.files is None:
            return
        for source in (*model.files.copy, *model.files.symlink):
            if self.files.inspect(source) is None:
                raise FileNotFoundError(f"{source}, which is attached to {model.name}, is not there any more")
        names = frozenset(model.params)
        for source in model.files.configure:
            for path, _ in self._expand(source):
                if (path, names) not in self._sources:
                    self._sources[path, names] = self._read_source(path, names)

    def _read_source(self, path: str, names: frozenset[str]) -> _Source:
        entry = self.files.inspect(path)
        try:
            text = self.files.read(path).decode("utf-8")
        except OSError as error:
            raise ParameterWriterError(path, reason=error.strerror or str(error)) from error
        except UnicodeDecodeError as error:
            raise ParameterWriterError(
                path,
                reason=f"it is not UTF-8 text (byte {error.object[error.start]:#04x} at offset {error.start}); "
                "attach it with to_copy if it needs no parameters, or convert it",
            ) from error
        template = Template.parse(text, self.tag, names)
        if template.unknown:
            get_logger(__name__).warning(f"Unused tag {', '.join(sorted(template.unknown))} in {path}: left as it is")
        return _Source(template, entry.mode if entry is not None else 0o644)

    def _expand(self, source: str) -> list[tuple[str, str]]:
        """Return the files of a file or directory to configure, each with its path relative to the entity."""
        entry = self.files.inspect(source)
        if entry is None or entry.kind is not Kind.DIRECTORY:
            return [(source, posixpath.basename(source))]
        inside = [(posixpath.join(source, name), name) for name in self.files.walk(source)]
        return [(path, name) for path, name in inside if self._is_file(path)]

    def _is_file(self, path: str) -> bool:
        entry = self.files.inspect(path)
        return entry is not None and entry.kind is Kind.FILE

    def _configure(self, source: str, model: Model) -> dict[str, dict[str, str]]:
        """Write one attached file or directory with the parameters of a model.

        Returns:
            For each file, by its path relative to the experiment, the parameters that went into it.
        """
        names, configured = frozenset(model.params), {}
        for path, relative in self._expand(source):
            found = self._sources[path, names]
            rendered = found.template.render(model.params)
            destination = posixpath.join(model.path, relative)
            if "/" in relative:
                self.files.make_directory(posixpath.dirname(destination))
            self.files.write(destination, rendered.text.encode(), found.mode)
            if rendered.used:
                shown = destination.removeprefix(self.exp_path + "/")
                configured[shown] = {name: value for name, value in model.params.items() if name in rendered.used}
        return configured
