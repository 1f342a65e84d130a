"""What run settings and batch settings have in common."""

from __future__ import annotations

from typing import Any, Self


class SettingsBase:
    """Settings of any kind."""

    def copy(self) -> Self:
        """Return settings that share nothing changeable with these.

        Every model has settings of its own, so an ensemble of hundreds makes hundreds of copies: lists, dictionaries
        and settings inside are copied, and what cannot change is shared.
        """
        twin = object.__new__(type(self))
        twin.__dict__.update((name, _independent(value)) for name, value in self.__dict__.items())
        return twin

    def _warn(self, message: str) -> None:
        """Tell the user of something that will not have the effect they expect; here there is nobody to tell."""

    def _inform(self, message: str) -> None:
        """Tell the user of something that is as they asked, but easily overlooked; likewise."""


def _independent(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _independent(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_independent(item) for item in value]
    if isinstance(value, tuple):
        return tuple(_independent(item) for item in value)
    return value.copy() if isinstance(value, SettingsBase | set) else value
