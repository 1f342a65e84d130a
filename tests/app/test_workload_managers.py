"""What a launcher runs steps with."""

from __future__ import annotations

import pytest

from smartsim.app.workload_managers import numbers_are_cores
from smartsim.domain.resources import Node


@pytest.mark.parametrize(
    ("nodes", "host", "cores", "binds"),
    [
        ([Node("n1", (0, 1, 2, 3)), Node("n2", (0, 1))], "n1", 4, True),
        ([Node("n1", (4, 5)), Node("n2", (0, 1))], "n1", 4, False),  # hardware threads
        ([Node("n1", (0, 1)), Node("n2", (2, 3, 4))], "n1", 4, False),
        ([Node("n1", (0, 1))], "login", 4, False),  # nobody knows what the nodes are like
        ([Node("n1", (0, 1))], "n1.cluster.org", 4, True),
        ([Node("n1", ())], "n1", 0, False),
    ],
)
def test_ranks_are_bound_where_the_scheduler_counts_cores(
    nodes: list[Node], host: str, cores: int, binds: bool
) -> None:
    assert numbers_are_cores(nodes, host, cores) is binds
