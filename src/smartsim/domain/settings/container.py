"""Containers that applications run in."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from types import UnionType

from smartsim.domain.errors import SSUnsupportedError


@dataclass(frozen=True)
class Container:
    """An image, and how to enter it. Use `Singularity`, which says with which program.

    Args:
        image: path or address of the image.
        args: further options of the container program: a list is kept word by word, a string is split as a shell would.
        mount: what to make visible inside: ``"host:container,..."``, a list of such, or a dictionary of the two
            (an empty value means the same path inside).
        working_directory: where the application runs; that of the model when empty.

    Raises:
        TypeError: an argument has another type.
        ValueError: the text of `args` ends within quotes.
    """

    image: str
    args: str | list[str] = ""
    mount: str | list[str] | dict[str, str] = ""
    working_directory: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.image, str):
            raise TypeError(f"image must be a str, not {self.image!r}")
        if not _is_text(self.args, list):
            raise TypeError(f"args must be a str | list of str, not {self.args!r}")
        if not _is_text(self.mount, list | dict):
            raise TypeError(f"mount must be a str | list | dict of str, not {self.mount!r}")
        if not isinstance(self.working_directory, str):
            raise TypeError(f"working_directory must be a str, not {self.working_directory!r}")
        # What the user changes later in their own list does not reach settings already made.
        object.__setattr__(self, "args", self.args if isinstance(self.args, str) else list(self.args))
        object.__setattr__(self, "mount", self.mount if isinstance(self.mount, str) else self.mount.copy())
        self._options()

    def words(self, working_directory: str, program: str) -> list[str]:
        """Return the words that come before the executable.

        Args:
            working_directory: of the model; absolute.
            program: the container program.

        Raises:
            SSUnsupportedError: this class names no program.
        """
        raise SSUnsupportedError(
            f"{type(self).__name__} does not say which program runs {self.image!r} in {working_directory} "
            f"(it is not {program}): use smartsim.settings.Singularity"
        )

    def _options(self) -> list[str]:
        try:
            return shlex.split(self.args) if isinstance(self.args, str) else list(self.args)
        except ValueError as error:
            raise ValueError(f"container args {self.args!r} are no words ({error}): give a list instead") from error

    def _mounts(self, working_directory: str) -> list[str]:
        if isinstance(self.mount, dict):
            mounts = [f"{host}:{inside}" if inside else host for host, inside in self.mount.items()]
        else:
            mounts = self.mount.split(",") if isinstance(self.mount, str) else list(self.mount)
        mounts = [mount for mount in mounts if mount]
        if working_directory not in map(_inside, mounts):
            mounts.insert(0, working_directory)
        return mounts


@dataclass(frozen=True)
class Singularity(Container):
    """An image that Singularity or Apptainer runs.

    The working directory is always made visible inside, under its own path.

    Example:
        >>> container = Singularity("solver.sif", args=["--nv"], mount={"/data": "/input"})
        >>> container.words("/exp/model", "singularity")
        ['singularity', 'exec', '--pwd', '/exp/model', '--nv', '--bind', '/exp/model,/data:/input', 'solver.sif']
    """

    def words(self, working_directory: str, program: str) -> list[str]:
        """Return the words that come before the executable.

        Args:
            working_directory: of the model; absolute.
            program: ``singularity``, ``apptainer``, or the path of either.
        """
        directory = self.working_directory or working_directory
        mounts = ",".join(self._mounts(directory))
        return [program, "exec", "--pwd", directory, *self._options(), "--bind", mounts, self.image]


def _is_text(value: str | Iterable[object], several: type | UnionType) -> bool:
    return isinstance(value, str) or (isinstance(value, several) and all(isinstance(item, str) for item in value))


def _inside(mount: str) -> str:
    """Return the path in the container of a mount written ``host[:container[:options]]``."""
    host, _, rest = mount.partition(":")
    return rest.partition(":")[0] or host
