"""The settings that those of every launcher are made from."""

from __future__ import annotations

from smartsim.app.settings import BatchSettings, RunSettings
from smartsim.domain.settings.base import SettingsBase

__all__ = ["BatchSettings", "RunSettings", "SettingsBase"]
