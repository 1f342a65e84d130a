"""Ensembles as users make them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.app.attached_files import Paths, checked_files, files_table, grid
from smartsim.app.logs import get_logger
from smartsim.app.ml_objects import AddsMLObjects
from smartsim.app.model import Model, absolute_path
from smartsim.domain import ensemble
from smartsim.domain.entity import checked_path
from smartsim.domain.parameters import Strategy
from smartsim.domain.settings.batch import BatchSettings
from smartsim.domain.settings.run import RunSettings
from smartsim.ports.file_system import FileReader

_SEED_BITS = 32


class Ensemble(AddsMLObjects, ensemble.Ensemble[Model]):
    """Models that are started together.

    What it is given decides what it becomes:

    * `params` and `run_settings`: a member for each combination of parameters, `replicas` times each;
    * `replicas` and `run_settings`: that many members without parameters;
    * `batch_settings` alone: empty, to be filled with `add_model`, and launched as one batch job.

    Members are called ``<name>_<number>``, run in a directory of that name, and write data under their own names.

    Args:
        name: unique in the experiment.
        params: values by name of parameter: a list, or one string or number.
        path: its directory; by default the one at work now.
        params_as_args: which parameters are handed over on the members' command line.
        batch_settings: the batch job that all members run in; copied.
        run_settings: how each member is run; copied.
        perm_strat: how values are combined: ``all_perm`` (every combination), ``step`` (the first values together, then
            the second ones ...), ``random`` (`n_models` of all combinations), or a function of the names, the values of
            each, and `n_models`, that returns a list with the parameters of each member.
        replicas: how many members share one combination.
        n_models: how many combinations ``random`` draws; all of them by default.
        seed: makes ``random`` draw the same again. By default one is drawn; `seed` of the ensemble tells which.
        files: looks at files; on this machine by default.

    Raises:
        AttributeError: the name is None.
        TypeError: an argument has another type.
        ValueError: an argument is out of range.
        SmartSimError: what is given does not say which members to make, or ``step`` has lists of different lengths.
        SSUnsupportedError: there is no such strategy.
        UserStrategyError: a strategy of your own returned something else than parameters.

    Example:
        >>> from smartsim.settings import RunSettings
        >>> heat = Ensemble("heat", {"alpha": [0.1, 0.2], "n": 64}, run_settings=RunSettings("echo"), replicas=2)
        >>> [(member.name, member.params["alpha"]) for member in heat]
        [('heat_0', '0.1'), ('heat_1', '0.1'), ('heat_2', '0.2'), ('heat_3', '0.2')]
    """

    def __init__(
        self,
        name: str,
        params: Mapping[str, Any] | None,
        path: str | None = None,
        params_as_args: Sequence[str] | None = None,
        batch_settings: BatchSettings | None = None,
        run_settings: RunSettings | None = None,
        perm_strat: Strategy = "all_perm",
        *,
        replicas: int | None = None,
        n_models: int | None = None,
        seed: int | None = None,
        files: FileReader | None = None,
    ) -> None:
        self._reader = PosixFileSystem() if files is None else files
        self.seed = random.SystemRandom().getrandbits(_SEED_BITS) if seed is None and perm_strat == "random" else seed
        super().__init__(
            name,
            params,
            absolute_path(path),
            params_as_args,
            batch_settings,
            run_settings,
            perm_strat,
            replicas=replicas,
            n_models=n_models,
            sample=random.Random(self.seed).sample,  # noqa: S311 - drawing members is no secret
            make_member=partial(Model, files=self._reader),
        )
        if not self.entities:
            get_logger(__name__).info(f"Empty ensemble {self.name} created for batch launch")

    def set_path(self, path: str) -> None:
        """Set the directory of the ensemble and of all its members.

        Raises:
            TypeError: it is no string.
        """
        super().set_path(absolute_path(checked_path(path)))

    def attach_generator_files(
        self, to_copy: Paths = None, to_symlink: Paths = None, to_configure: Paths = None
    ) -> None:
        """Have files put into the directory of every member when the ensemble is generated.

        What was attached before is forgotten; members added later have their own files.

        Args:
            to_copy: files and directories to copy (of a directory, its contents): one path or several.
            to_symlink: files and directories to link to.
            to_configure: files and directories to copy, with every tag, ``;name;``, replaced by the member's parameter
                of that name.

        Raises:
            FileNotFoundError: one is not there.
            TypeError: an argument is no path.
            ValueError: one is called ``smartsim_params.txt``, or a directory to configure holds a link to a directory.
        """
        attached = checked_files(to_copy, to_symlink, to_configure, self._reader)
        for model in self.entities:
            model.files = attached

    @property
    def attached_files_table(self) -> str:
        """A table of the files attached to each member, or a sentence when there are no members."""
        if not self.entities:
            return "The ensemble is empty, no files to show."
        return grid([(model.name, files_table(model.files)) for model in self.entities], ["Model name", "Files"])

    def print_attached_files(self) -> None:
        """Print the table of the attached files."""
        print(self.attached_files_table)  # noqa: T201 - that is what it is for
