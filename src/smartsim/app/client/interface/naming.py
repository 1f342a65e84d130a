"""From names to keys."""

from __future__ import annotations

from collections.abc import Callable

from smartsim.domain.client_errors import RedisRuntimeError, check_type
from smartsim.domain.keys import Prefixes


class Naming:
    """The prefixes of a client.

    Attributes:
        prefixes: those of the next call.
    """

    def __init__(self, prefixes: Prefixes) -> None:
        self.prefixes = prefixes


def key(prefixed: Callable[[str], str], name: str, argument: str = "name") -> str:
    """Return the key of a name, after a look at the name.

    Args:
        prefixed: puts the prefix before it: a method of `Prefixes`.
        name: as the user gave it.
        argument: what the user knows it as.

    Raises:
        TypeError: it is no text.
        RedisRuntimeError: it is empty.
    """
    check_type(name, argument, str)
    if not name:
        raise RedisRuntimeError(f"Argument {argument} is empty: give a name")
    return prefixed(name)
