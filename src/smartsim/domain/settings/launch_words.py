"""Looking at the words of a run command, and changing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

from smartsim.domain.resources import Lease, Share

Option: TypeAlias = tuple[str, ...]
"""An option that has a value, as words: its name, with what belongs to it (``-env``, ``NAME``)."""


@dataclass(frozen=True)
class Change:
    """How a run command is changed, so that a step runs where it is to.

    Args:
        added: options.
        replaced: options that these take the place of.
        environment: variables.
        files: content by absolute path.
    """

    added: tuple[str, ...] = ()
    replaced: tuple[Option, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


def has(launch: Sequence[str], *names: str) -> bool:
    """Return whether a command line has one of some options.

    Example:
        >>> has(("srun", "--nodes=2", "-n", "4"), "-N", "--nodes")
        True
    """
    return any(word == name or word.startswith(f"{name}=") for word in launch for name in names)


def value_of(launch: Sequence[str], *names: str) -> str | None:
    """Return the value of one of some options, which stands in a word of its own; None without such an option."""
    return next((value for word, value in pairwise(launch) if word in names), None)


def without(launch: Sequence[str], options: Sequence[Option]) -> tuple[str, ...]:
    """Return a command line without some options and their values.

    Example:
        >>> without(("mpirun", "--npernode", "2", "--host=n1", "--verbose"), [("--npernode",), ("--host",)])
        ('mpirun', '--verbose')
    """
    words = []
    index = 0
    while index < len(launch):
        here = tuple(launch[index:])
        option = next((option for option in options if here[: len(option)] == option), None)
        if option is not None:
            index += len(option) + 1
            continue
        if not any(launch[index].startswith(f"{option[0]}=") for option in options):
            words.append(launch[index])
        index += 1
    return tuple(words)


def rank_cpus(share: Share) -> list[tuple[int, ...]]:
    """Return the CPUs of each rank of a share: as many for each.

    Example:
        >>> rank_cpus(Share("n1", 2, (4, 5, 6, 7)))
        [(4, 5), (6, 7)]
    """
    each = len(share.cpus) // share.tasks
    return [share.cpus[rank * each : (rank + 1) * each] for rank in range(share.tasks)]


def common_rank_cpus(lease: Lease) -> list[tuple[int, ...]] | None:
    """Return the CPUs of the ranks by their number on their node; None when these are not the same on all nodes."""
    nodes = sorted((rank_cpus(share) for share in lease.shares), key=len, reverse=True)
    return nodes[0] if all(ranks == nodes[0][: len(ranks)] for ranks in nodes) else None
