"""Databases: `Orchestrator`."""

from smartsim.app.orchestrator import Orchestrator

__all__ = ["Orchestrator"]
