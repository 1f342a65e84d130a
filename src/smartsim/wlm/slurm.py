"""Allocations of Slurm."""

from __future__ import annotations

from smartsim.app.slurm_allocations import (
    get_allocation,
    get_default_partition,
    get_hosts,
    get_queue,
    get_tasks,
    get_tasks_per_node,
    release_allocation,
    validate,
)

__all__ = [
    "get_allocation",
    "get_default_partition",
    "get_hosts",
    "get_queue",
    "get_tasks",
    "get_tasks_per_node",
    "release_allocation",
    "validate",
]
