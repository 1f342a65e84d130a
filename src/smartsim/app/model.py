"""Models as users make them: paths are made absolute, and attached files are looked at."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.app.attached_files import Paths, checked_files, files_table
from smartsim.app.ml_objects import AddsMLObjects
from smartsim.domain import model
from smartsim.domain.entity import checked_path
from smartsim.domain.settings.batch import BatchSettings
from smartsim.domain.settings.run import RunSettings
from smartsim.ports.file_system import FileReader


class Model(AddsMLObjects, model.Model):
    """An application to run. Two models are equal when their names are.

    Args:
        name: unique in the experiment.
        params: parameters by name, strings and numbers: they replace the tags in files to configure.
        run_settings: how it is run; copied, so later changes are made to `run_settings` of the model.
        path: its directory; by default the one at work now.
        params_as_args: which parameters `params_to_args` hands over on the command line.
        batch_settings: the batch job it runs in, if it has its own; copied.
        files: looks at files; on this machine by default.

    Raises:
        AttributeError: the name is None.
        TypeError: an argument has another type.
        ValueError: no file could have that name.

    Example:
        >>> from smartsim.settings import RunSettings
        >>> solver = Model("solver", {"steps": 100}, RunSettings("echo", "run"), params_as_args=["steps"])
        >>> solver.params_to_args()
        >>> solver.run_settings.exe_args
        ['run', '--steps=100']
    """

    def __init__(
        self,
        name: str,
        params: Mapping[str, Any] | None,
        run_settings: RunSettings,
        path: str | None = None,
        params_as_args: Sequence[str] | None = None,
        batch_settings: BatchSettings | None = None,
        *,
        files: FileReader | None = None,
    ) -> None:
        super().__init__(name, params, run_settings, absolute_path(path), params_as_args, batch_settings)
        self._reader = PosixFileSystem() if files is None else files

    def set_path(self, path: str) -> None:
        """Set the directory.

        Raises:
            TypeError: it is no string.
        """
        super().set_path(absolute_path(checked_path(path)))

    def attach_generator_files(
        self, to_copy: Paths = None, to_symlink: Paths = None, to_configure: Paths = None
    ) -> None:
        """Have files put into the model's directory when it is generated; what was attached before is forgotten.

        Args:
            to_copy: files and directories to copy (of a directory, its contents): one path or several.
            to_symlink: files and directories to link to.
            to_configure: files and directories to copy, with every tag, ``;name;``, replaced by the parameter of that
                name.

        Raises:
            FileNotFoundError: one is not there.
            TypeError: an argument is no path.
            ValueError: one is called ``smartsim_params.txt``, or a directory to configure holds a link to a directory.

        Example:
            ::

                model.attach_generator_files(to_copy=["mesh.dat"], to_configure=["solver.in"])
        """
        self.files = checked_files(to_copy, to_symlink, to_configure, self._reader)

    @property
    def attached_files_table(self) -> str:
        """A table of the attached files, or a sentence when there are none."""
        return files_table(self.files)

    def print_attached_files(self) -> None:
        """Print the table of the attached files."""
        print(self.attached_files_table)  # noqa: T201 - that is what it is for


def absolute_path(path: str | None) -> str:
    """Return a path made absolute; None is the directory at work now.

    Raises:
        TypeError: it is no string.
    """
    return os.getcwd() if path is None else os.path.abspath(checked_path(path))
