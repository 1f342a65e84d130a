"""Containers that applications run in."""

from __future__ import annotations

from smartsim.domain.settings.container import Container, Singularity

__all__ = ["Container", "Singularity"]
