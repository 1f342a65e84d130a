"""Parameters that reach an application through its command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def argument_words(name: str, value: str) -> list[str]:
    """Return the words that hand one parameter to an application.

    The value is part of one word, whatever it holds: nothing splits it or quotes it.

    Args:
        name: the parameter's name, with or without its dashes.
        value: its value.

    Raises:
        ValueError: when the name is empty or nothing but dashes.

    Example:
        >>> argument_words("steps", "10"), argument_words("n", "10"), argument_words("-np", "4")
        (['--steps=10'], ['-n', '10'], ['-np', '4'])
    """
    if not name.strip("-"):
        raise ValueError(f"{name!r} cannot be passed as an argument: a parameter needs a name")
    if name.startswith("--"):
        return [f"{name}={value}"]
    if name.startswith("-"):
        return [name, value]
    if len(name) == 1:
        return [f"-{name}", value]
    return [f"--{name}={value}"]


def parameter_words(names: Sequence[str], params: Mapping[str, str]) -> list[str]:
    """Return the words that hand the named parameters to an application, in the order of the names.

    Args:
        names: which parameters.
        params: the parameters of one member.

    Raises:
        ValueError: when a name is not among the parameters, or cannot be an argument.

    Example:
        >>> parameter_words(["b"], {"a": "1", "b": "two words"})
        ['-b', 'two words']
    """
    words = []
    for name in names:
        if name not in params:
            known = ", ".join(map(repr, params)) or "none"
            raise ValueError(f"{name!r} of params_as_args is not a parameter; the parameters are: {known}")
        words += argument_words(name, params[name])
    return words
