"""How applications are run, and in which batch jobs and containers."""

from __future__ import annotations

from smartsim.app.settings import RunSettings
from smartsim.domain.settings.base import SettingsBase
from smartsim.domain.settings.container import Container, Singularity

__all__ = ["Container", "RunSettings", "SettingsBase", "Singularity"]
