"""`smartsim_params.txt`: which parameters went into which file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import zip_longest

_GAP = "  "
_HEADER_PADDING = 2


def generation_header(text_time: str) -> str:
    """Return the first line of the file.

    Args:
        text_time: when the files were generated, as ``dd/mm/YYYY HH:MM:SS``.
    """
    return f"Generation start date and time: {text_time}\n"


def configured_entry(model: str, files: Mapping[str, Mapping[str, str]]) -> str:
    r"""Return the entry of one model: its name, a table of its configured files, and a blank line.

    Args:
        model: its name.
        files: for each configured file, by its path relative to the experiment, the parameters put into it.

    Example:
        >>> print(configured_entry("m", {"m/in.txt": {"dt": "0.50"}}), end="")
        Model name: m
        File name    Parameters
        -----------  ---------------
        m/in.txt     Name    Value
                     ------  -------
                     dt      0.50
        <BLANKLINE>
    """
    rows = [(path, _table("Name", "Value", params.items())) for path, params in files.items()]
    return f"Model name: {model}\n{_table('File name', 'Parameters', rows)}\n\n"


def _table(first: str, second: str, rows: Iterable[tuple[str, str]]) -> str:
    """Lay out two columns as tabulate's format "simple" does, values untouched; a cell may have several lines."""
    lines: list[tuple[str, str]] = []
    for left, right in rows:
        if "\n" in left or "\n" in right:
            lines += zip_longest(left.split("\n"), right.split("\n"), fillvalue="")
        else:
            lines.append((left, right))
    width = max(len(first) + _HEADER_PADDING, *(len(left) for left, _ in lines), 0)
    second_width = max(len(second) + _HEADER_PADDING, *(len(right) for _, right in lines), 0)
    drawn = [f"{first:{width}}{_GAP}{second}", f"{'-' * width}{_GAP}{'-' * second_width}"]
    drawn += [f"{left:{width}}{_GAP}{right}".rstrip() for left, right in lines]
    return "\n".join(drawn)
