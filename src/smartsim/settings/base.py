"""The settings that those of every launcher are made from."""

from __future__ import annotations

from smartsim.app.batch_settings import BatchSettings
from smartsim.app.settings import RunSettings
from smartsim.domain.settings.base import SettingsBase

__all__ = ["BatchSettings", "RunSettings", "SettingsBase"]
