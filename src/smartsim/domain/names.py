"""Names: which ones an entity may have, and the ones derived from them."""

from __future__ import annotations

import unicodedata

_RESERVED = {
    "": "it is empty",
    ".": "it means the directory itself",
    "..": "it means the directory above",
    ".smartsim": "the experiment keeps its own records under it",
    "smartsim_params.txt": "the experiment keeps the list of used parameters under it",
}
_BASE36 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_RUN_ID_BITS = 48


def check_entity_name(name: object) -> str:
    """Return a name that an entity may have.

    A name becomes a directory, several file names and a word in job lists. Blanks and letters of any script are fine.

    Args:
        name: what the user gave.

    Raises:
        AttributeError: when it is None.
        TypeError: when it is not a string.
        ValueError: when it is empty or reserved, or has a slash, a control character or half of a surrogate pair.

    Example:
        >>> check_entity_name("heat run 1")
        'heat run 1'
    """
    if name is None:
        raise AttributeError("Entity has no name. Please set name attribute.")
    if not isinstance(name, str):
        raise TypeError(f"an entity name must be a string, not {type(name).__name__}: {name!r}")
    if name in _RESERVED:
        raise ValueError(f"{name!r} cannot be the name of an entity: {_RESERVED[name]}. Choose another one.")
    for character in name:
        # Cc: control characters, NUL among them. Cs: surrogates, which UTF-8 and so every record cannot hold.
        if character == "/" or unicodedata.category(character) in ("Cc", "Cs"):
            raise ValueError(
                f"{name!r} cannot be the name of an entity because of {character!r}: "
                "leave out slashes and control characters, the name becomes a directory."
            )
    return name


def member_name(ensemble: str, index: int) -> str:
    """Return the name of an ensemble's member; `index` counts from 0."""
    return f"{ensemble}_{index}"


def shard_name(database: str, index: int) -> str:
    """Return the name of a database's shard; `index` counts from 0."""
    return f"{database}_{index}"


def step_name(entity: str, time_ns: int) -> str:
    """Return the name of one launch of an entity, which is also its job name.

    Args:
        entity: the entity's name.
        time_ns: nanoseconds since the epoch, at least 0; another one for each launch of the same entity.

    Raises:
        ValueError: when the time is negative.

    Example:
        >>> step_name("m", 1_700_000_000_000_000_000)
        'm-CWYVPELGPSE8'
    """
    if time_ns < 0:
        raise ValueError(f"{time_ns} ns is before the epoch: give nanoseconds since 1970")
    digits = ""
    while time_ns or not digits:
        time_ns, digit = divmod(time_ns, 36)
        digits = _BASE36[digit] + digits
    return f"{entity}-{digits}"


def run_id(bits: int) -> str:
    """Return the identifier of one run: 12 lower-case hexadecimal digits.

    Args:
        bits: random bits, of which the lowest 48 are used (an experiment of a thousand runs repeats one with a chance
            of about two in a thousand million).
    """
    return f"{bits & ((1 << _RUN_ID_BITS) - 1):012x}"
