"""Lists of hosts and numbers, as schedulers shorten them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

_RANGE = re.compile(r"(?P<first>[0-9]+)(?:-(?P<last>[0-9]+))?")
_REPEATED = re.compile(r"(?P<number>[0-9]+)(?:\(x(?P<times>[0-9]+)\))?")


def expand_hosts(text: str) -> list[str]:
    """Return the hosts of a list in the form of Slurm and Flux.

    Args:
        text: names with commas between them; ranges of numbers stand in brackets, with leading zeros kept.

    Raises:
        ValueError: it has another form.

    Example:
        >>> expand_hosts("node[08-10,12],login")
        ['node08', 'node09', 'node10', 'node12', 'login']
    """
    hosts: list[str] = []
    for item in _split(text):
        parts = [[part] if index % 2 == 0 else list(_numbers(part)) for index, part in enumerate(_bracketed(item))]
        hosts += ["".join(chosen) for chosen in product(*parts)]
    return hosts


def expand_numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of a list of ranges, such as CPUs and GPUs.

    Raises:
        ValueError: it has another form.

    Example:
        >>> expand_numbers("0-3,8")
        (0, 1, 2, 3, 8)
    """
    return tuple(int(number) for number in _numbers(text))


def expand_repeated(text: str) -> list[int]:
    """Return the numbers of a list in which repeated ones are counted, such as Slurm's of tasks on each node.

    Raises:
        ValueError: it has another form.

    Example:
        >>> expand_repeated("2(x3),1")
        [2, 2, 2, 1]
    """
    numbers: list[int] = []
    for item in text.split(","):
        match = _REPEATED.fullmatch(item)
        if match is None:
            raise ValueError(f"{item!r} in {text!r} is no number with how often it is repeated, such as 2(x3)")
        numbers += [int(match["number"])] * int(match["times"] or 1)
    return numbers


def _split(text: str) -> list[str]:
    """Split at the commas outside brackets."""
    items = re.findall(r"(?:[^,\[\]]|\[[^\[\]]*\])+", text)
    if not items or ",".join(items) != text:
        raise ValueError(f"{text!r} is no list of hosts, such as node[1-4],login")
    return items


def _bracketed(item: str) -> list[str]:
    """Return what stands outside and inside brackets, in turns."""
    return re.split(r"[\[\]]", item)


def _numbers(text: str) -> Iterator[str]:
    for item in text.split(","):
        match = _RANGE.fullmatch(item)
        if match is None:
            raise ValueError(f"{item!r} in {text!r} is no number and no range, such as 1-4")
        first, last = match["first"], match["last"] or match["first"]
        if int(last) < int(first):
            raise ValueError(f"the range {item!r} in {text!r} ends before it begins")
        yield from (f"{number:0{len(first)}}" for number in range(int(first), int(last) + 1))
