"""Files that are put into an entity's directory when it is generated."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

PARAMETER_FILE = "smartsim_params.txt"
"""The file in which a generated experiment lists the parameters it used; no attached file may have its name."""


@dataclass(frozen=True)
class AttachedFiles:
    """Files and directories, as absolute paths, by what becomes of them.

    Args:
        copy: copied; of a directory, its contents.
        symlink: linked to.
        configure: copied, with the tags in them replaced by parameters.

    Raises:
        ValueError: one is called ``smartsim_params.txt``.
    """

    copy: tuple[str, ...] = ()
    symlink: tuple[str, ...] = ()
    configure: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for path in (*self.copy, *self.symlink, *self.configure):
            if posixpath.basename(posixpath.normpath(path)) == PARAMETER_FILE:
                raise ValueError(
                    f"{path!r} cannot be attached: the experiment writes its list of parameters to a file called "
                    f"{PARAMETER_FILE}. Rename yours"
                )

    def rows(self) -> list[tuple[str, str]]:
        """Return what a table shows: the strategy and its paths, one per line, for each strategy that is used."""
        strategies = (("Copy", self.copy), ("Symlink", self.symlink), ("Configure", self.configure))
        return [(strategy, "\n".join(paths)) for strategy, paths in strategies if paths]
