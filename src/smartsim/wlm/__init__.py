"""The workload manager of this machine, and the job that this process runs in."""

from __future__ import annotations

from smartsim.app.allocations import get_hosts, get_queue, get_tasks, get_tasks_per_node
from smartsim.app.launchers import detect_launcher
from smartsim.wlm import pbs, slurm

__all__ = ["detect_launcher", "get_hosts", "get_queue", "get_tasks", "get_tasks_per_node", "pbs", "slurm"]
