"""The values that settings take: each function checks one kind and returns it in its usual form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import SupportsIndex, TypeAlias

from smartsim.domain.integers import integer
from smartsim.domain.walltime import parse_walltime

Option: TypeAlias = str | int | float | None
"""The value of an option of a run command or a batch script; None stands for an option without a value."""


def positive(what: str, value: object, at_least: int = 1) -> int:
    """Return a count, given as a whole number or as its text.

    Args:
        what: names the value in errors.
        value: what the user gave.
        at_least: the smallest that is allowed.

    Raises:
        TypeError: it is no number.
        ValueError: it is not whole, or too small.

    Example:
        >>> positive("nodes", "4")
        4
    """
    if isinstance(value, bool) or not isinstance(value, str | float | SupportsIndex):
        raise TypeError(f"{what} must be an integer, not {type(value).__name__}: {value!r}")
    try:
        count = int(value)
    except (ValueError, OverflowError):
        count = at_least - 1
    if count < at_least or (isinstance(value, float) and count != value):
        raise ValueError(f"{what} must be a whole number of at least {at_least}, not {value!r}")
    return count


def indices(what: str, value: object) -> list[int]:
    """Return numbers that count from 0, of CPUs for instance, as a new list; a single one becomes a list of one.

    Raises:
        TypeError: it is neither an integer nor a list of them.
        ValueError: one is negative.
    """
    return [integer(what, index) for index in (value if isinstance(value, list) else [value])]


def seconds(walltime: str) -> str:
    """Return a walltime in seconds, as text.

    Args:
        walltime: in seconds already, or ``HH:MM:SS``, or ``D-HH:MM:SS``.

    Raises:
        ValueError: it is none of these.

    Example:
        >>> seconds("36:00:00"), seconds("90")
        ('129600', '90')
    """
    plain = walltime.strip()
    if plain.isascii() and plain.isdigit():
        return str(int(plain))
    try:
        return str(parse_walltime(plain))
    except ValueError as error:
        raise ValueError(f"{walltime!r} is not a walltime: write it as HH:MM:SS, D-HH:MM:SS or in seconds") from error


def text(what: str, value: object) -> str:
    """Return a string.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {type(value).__name__}: {value!r}")
    return value


def texts(what: str, value: object) -> list[str]:
    """Return strings as a new list; a single string becomes a list of one, without blanks around it.

    Raises:
        TypeError: it is neither a string nor a list of strings.
    """
    if isinstance(value, str):
        return [value.strip()]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TypeError(f"{what} must be a str or a list of str, not {value!r}")
    return list(value)


def words(value: object) -> list[str]:
    """Return the arguments of an executable.

    Args:
        value: a list, kept word by word as it is; or one string, split at blanks and nowhere else; or None.

    Raises:
        TypeError: it is something else.
        ValueError: a word holds a null character, which no program can be given.

    Example:
        >>> words("--steps 10"), words(["two words", ""])
        (['--steps', '10'], ['two words', ''])
    """
    if value is None:
        return []
    if isinstance(value, str):
        value = value.split()
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise TypeError(f"Executable arguments were not a list of str or a str. They were: {value!r}")
    for word in value:
        if "\0" in word:
            raise ValueError(f"the argument {word!r} holds a null character, which no program can be given")
    return list(value)


def environment(variables: object) -> dict[str, str | None]:
    """Return environment variables as a new dictionary, numbers as text.

    Args:
        variables: name to value; None for a variable without a value.

    Raises:
        TypeError: a name is no string, or a value is not a string, number, bool or None.
        ValueError: a name is empty or holds ``=``, or something holds a null character.
    """
    if not isinstance(variables, Mapping):
        raise TypeError(f"env_vars must be a dict of name to value, not {type(variables).__name__}: {variables!r}")
    checked: dict[str, str | None] = {}
    for name, value in variables.items():
        if not isinstance(name, str):
            raise TypeError(f"the name of an environment variable must be a str, not {name!r}")
        if not isinstance(value, str | int | float | None):
            raise TypeError(
                f"env_vars[{name!r}] was of type {type(value).__name__}, not str, int, float or bool: {value!r}"
            )
        if not name or "=" in name or "\0" in f"{name}{value}":
            raise ValueError(
                f"{name!r}={value!r} cannot be an environment variable: a name is not empty and has no '=', and "
                "neither has a null character"
            )
        checked[name] = None if value is None else str(value)
    return checked


def options(what: str, value: object) -> dict[str, Option]:
    """Return the options of a command as a new dictionary.

    Raises:
        TypeError: it is not a dictionary of name to string, number or None.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"{what} must be a dict of option to value, not {type(value).__name__}: {value!r}")
    for name, setting in value.items():
        if not isinstance(name, str) or not isinstance(setting, str | int | float | None):
            raise TypeError(f"{what}[{name!r}] must be a str, a number or None under a str, not {setting!r}")
    return dict(value)


def bare(options: Mapping[str, Option]) -> dict[str, Option]:
    """Return options under their names without dashes and blanks around them.

    Raises:
        ValueError: a name has nothing else.
    """
    named = {name.strip().lstrip("-"): value for name, value in options.items()}
    if "" in named:
        raise ValueError(f"an option in {dict(options)!r} has no name")
    return named


def is_flag(value: Option) -> bool:
    """Return whether an option stands without a value: None, an empty text, or True."""
    return value is None or value is True or value == ""


def option_words(options: Mapping[str, Option]) -> list[str]:
    """Return the words for options, as most programs take them: ``--name=value``, and ``-n value`` for a single letter.

    An option that is False is left out; 0 is a value like any other.

    Example:
        >>> option_words({"ntasks": 4, "exclusive": None, "C": "gpu", "nice": 0})
        ['--ntasks=4', '--exclusive', '-C', 'gpu', '--nice=0']
    """
    words: list[str] = []
    for name, value in options.items():
        if value is False:
            continue
        if len(name) == 1:
            words += [f"-{name}"] if is_flag(value) else [f"-{name}", str(value)]
        else:
            words.append(f"--{name}" if is_flag(value) else f"--{name}={value}")
    return words


def resources(value: object) -> dict[str, str | int]:
    """Return the resources that a batch job asks for as a new dictionary.

    Raises:
        TypeError: it is not a dictionary of name to string or integer.
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"resources must be a dict of name to value, not {value!r}")
    for name, amount in value.items():
        if not isinstance(name, str) or not isinstance(amount, str | int):
            raise TypeError(f"resources[{name!r}] must be a str or int under a str, not {amount!r}")
    return dict(value)


def listed(settings: Mapping[str, Option]) -> str:
    """Return options as text for people: one line each, indented by a tab."""
    return "\n".join(f"\t{name} = {value}" for name, value in settings.items())
