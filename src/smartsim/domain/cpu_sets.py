"""Sets of CPUs: which of them a colocated database has, and which are left for the application."""

from __future__ import annotations

from collections.abc import Collection, Iterator


def database_cpus(available: Collection[int], count: int, pinning: Collection[int] | None) -> tuple[int, ...]:
    """Return the CPUs that a database is pinned to; none for no pinning.

    Args:
        available: the CPUs that the job has on this node.
        count: how many the database is to have, when it is not said which.
        pinning: which; None for the first `count`, empty for no pinning.

    Raises:
        ValueError: the job does not have them.

    Example:
        >>> database_cpus({4, 5, 6, 7}, 2, None)
        (4, 5)
        >>> database_cpus({4, 5, 6, 7}, 2, [7])
        (7,)
    """
    if pinning is None:
        if count > len(available):
            raise ValueError(
                f"db_cpus={count} is more than the {len(available)} CPUs that the job has on this node "
                f"({format_cpus(available)}): ask for more CPUs, or give the database fewer"
            )
        return tuple(sorted(available)[:count])
    missing = set(pinning) - set(available)
    if missing:
        raise ValueError(
            f"custom_pinning names CPUs that the job does not have on this node: {format_cpus(missing)}. It has "
            f"{format_cpus(available)}"
        )
    return tuple(sorted(set(pinning)))


def application_cpus(own: Collection[int], database: Collection[int]) -> tuple[int, ...]:
    """Return the CPUs on which a rank is to run: its own less those of the database, or all if none were left.

    Example:
        >>> application_cpus({0, 1, 2}, (0,))
        (1, 2)
        >>> application_cpus({0}, (0,))
        (0,)
    """
    return tuple(sorted(set(own) - set(database) or set(own)))


def format_cpus(cpus: Collection[int]) -> str:
    """Return CPUs as `taskset -c` takes them.

    Example:
        >>> format_cpus({0, 1, 2, 3, 8})
        '0-3,8'
    """
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in _ranges(sorted(set(cpus))))


def _ranges(cpus: Collection[int]) -> Iterator[tuple[int, int]]:
    first = last = None
    for cpu in cpus:
        if first is not None and last is not None and cpu != last + 1:
            yield first, last
            first = None
        first = cpu if first is None else first
        last = cpu
    if first is not None and last is not None:
        yield first, last
