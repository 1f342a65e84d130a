"""Which nodes of a runtime the ranks of a step start on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from smartsim.domain.errors import LauncherError

_COUNTS = {"nodes": "nodes", "tasks-per-node": "tasks_per_node"}
_DEVICES = {"cpu-affinity": "cpus", "gpu-affinity": "gpus"}
FEATURE = "node-feature"


@dataclass(frozen=True)
class Wish:
    """What a step asks for.

    Args:
        nodes: how many.
        tasks_per_node: ranks on each of them.
        cpus: of each node, by number, that the ranks may run on; none for all.
        gpus: so the GPUs.
    """

    nodes: int = 1
    tasks_per_node: int = 1
    cpus: tuple[int, ...] = ()
    gpus: tuple[int, ...] = ()


@dataclass(frozen=True)
class DragonNode:
    """A node of a runtime.

    Args:
        name: as the runtime knows it.
        cpus: by number.
        gpus: by number.
    """

    name: str
    cpus: tuple[int, ...]
    gpus: tuple[int, ...] = ()


def wish_of(options: Sequence[str]) -> Wish:
    """Return what options of `DragonRunSettings` ask for; of features that nodes are to have, a runtime knows nothing.

    Args:
        options: as the settings render them, such as ``--nodes=2``.

    Raises:
        LauncherError: there is no such option, or it cannot have that value.

    Example:
        >>> wish_of(["--nodes=2", "--cpu-affinity=0,1"])
        Wish(nodes=2, tasks_per_node=1, cpus=(0, 1), gpus=())
    """
    found: dict[str, Any] = {}
    for option in options:
        name, _, value = option.removeprefix("--").partition("=")
        try:
            if name in _COUNTS:
                found[_COUNTS[name]] = _count(value)
            elif name in _DEVICES:
                found[_DEVICES[name]] = tuple(int(device) for device in value.split(",") if device)
            elif name != FEATURE:
                known = ", ".join([*_COUNTS, *_DEVICES, FEATURE])
                raise LauncherError(f"Dragon has no option {option!r}: leave it out. It knows {known}")
        except ValueError as error:
            raise LauncherError(f"Dragon cannot take the option {option!r}: {error}") from None
    return Wish(**found)


def choose(wish: Wish, nodes: Sequence[DragonNode], ranks: Sequence[int]) -> list[int]:
    """Return the nodes for a step, by their places in `nodes`: those on which the fewest ranks run.

    Args:
        wish: what it asks for.
        nodes: all of the runtime.
        ranks: how many run on each of them already.

    Raises:
        LauncherError: the runtime has not that much.
    """
    if wish.nodes > len(nodes):
        names = ", ".join(node.name for node in nodes)
        raise LauncherError(
            f"it asks for {wish.nodes} nodes, and the Dragon runtime has {len(nodes)} ({names}): ask for fewer, or run "
            "the driver in a larger allocation"
        )
    fitting = [place for place, node in enumerate(nodes) if not _missing(wish, node)]
    if len(fitting) < wish.nodes:
        node = next(node for node in nodes if _missing(wish, node))
        raise LauncherError(f"it asks for {_missing(wish, node)}: ask for some that are there")
    chosen = sorted(fitting, key=lambda place: (ranks[place], place))[: wish.nodes]
    return sorted(chosen)


def _count(value: str) -> int:
    count = int(value)
    if count < 1:
        raise ValueError("it must be at least 1")
    return count


def _missing(wish: Wish, node: DragonNode) -> str:
    """Return in words what a node lacks of what is asked for; empty when it has all."""
    for kind, asked, there in (("CPU", wish.cpus, node.cpus), ("GPU", wish.gpus, node.gpus)):
        lacking = sorted(set(asked) - set(there))
        if lacking:
            has = f"{kind}s {', '.join(map(str, there))}" if there else f"no {kind}s"
            return f"{kind} {', '.join(map(str, lacking))}, and node {node.name} has {has}"
    return ""
