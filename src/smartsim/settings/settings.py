"""Settings for a launcher given by name."""

from __future__ import annotations

from smartsim.app.settings import create_batch_settings, create_run_settings

__all__ = ["create_batch_settings", "create_run_settings"]
