"""The job of PBS that this process runs in."""

from __future__ import annotations

from smartsim.app.pbs_allocations import get_hosts, get_queue, get_tasks, get_tasks_per_node

__all__ = ["get_hosts", "get_queue", "get_tasks", "get_tasks_per_node"]
