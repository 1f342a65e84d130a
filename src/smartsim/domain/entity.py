"""What an experiment starts, and lists of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from smartsim.domain.names import check_entity_name
from smartsim.domain.settings.run import RunSettings


class SmartSimEntity:
    """One program to start.

    Args:
        name: unique in the experiment; its files and directory are called so.
        path: its directory; absolute.
        run_settings: how it is run. They are copied: what is changed in them later changes nothing here.

    Raises:
        AttributeError: the name is None.
        TypeError: an argument has another type.
        ValueError: no file could have that name.

    Attributes:
        exp_path: the directory of the experiment that made it, or None.
    """

    exp_path: str | None = None

    def __init__(self, name: str, path: str, run_settings: RunSettings) -> None:
        self.name = check_entity_name(name)
        self.path = checked_path(path)
        self.run_settings = checked_run_settings(self.name, run_settings).copy()
        self.exp_path: str | None = None  # of the experiment that made it

    @property
    def type(self) -> str:
        """The name of the class."""
        return type(self).__name__

    def set_path(self, path: str) -> None:
        """Set the directory.

        Raises:
            TypeError: it is no string.
        """
        self.path = checked_path(path)

    def __repr__(self) -> str:
        return self.name


Entity = TypeVar("Entity", bound=SmartSimEntity)


class EntityList(Generic[Entity]):
    """Entities that are started and stopped together; `Ensemble` is one.

    Args:
        name: of all of them together.
        path: their directory; absolute.

    Raises:
        NotImplementedError: this class is used as it is.

    Attributes:
        entities: the list itself.
        exp_path: the directory of the experiment that made it, or None.
    """

    exp_path: str | None = None

    def __init__(self, name: str, path: str) -> None:
        if type(self) is EntityList:
            raise NotImplementedError("EntityList is a base class: create an Ensemble")
        self.name = check_entity_name(name)
        self.path = checked_path(path)
        self.entities: list[Entity] = []
        self.exp_path: str | None = None  # of the experiment that made it

    @property
    def type(self) -> str:
        """The name of the class."""
        return type(self).__name__

    def set_path(self, path: str) -> None:
        """Set the directory of the list and of all entities in it.

        Raises:
            TypeError: it is no string.
        """
        self.path = checked_path(path)
        for entity in self.entities:
            entity.set_path(path)

    def __getitem__(self, key: str | int) -> Entity | None:
        """Return the entity of that name, or None when there is none; or the one at that place, counted from 0.

        Raises:
            IndexError: there is no such place.
        """
        if isinstance(key, str):
            return next((entity for entity in self.entities if entity.name == key), None)
        return self.entities[key]

    def __iter__(self) -> Iterator[Entity]:
        return iter(self.entities)

    def __len__(self) -> int:
        return len(self.entities)

    def __repr__(self) -> str:
        return self.name


def checked_path(path: object) -> str:
    """Return a path.

    Raises:
        TypeError: it is no string.
    """
    if not isinstance(path, str):
        raise TypeError(f"path must be a str, not {type(path).__name__}: {path!r}")
    return path


def checked_run_settings(name: str, run_settings: object) -> RunSettings:
    """Return the run settings of an entity of that name.

    Raises:
        TypeError: they are something else.
    """
    if not isinstance(run_settings, RunSettings):
        raise TypeError(
            f"run_settings of {name!r} must be RunSettings, as create_run_settings returns them, not {run_settings!r}"
        )
    return run_settings
