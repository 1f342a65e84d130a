"""Settings for a launcher given by name."""

from __future__ import annotations

from smartsim.app.batch_settings import create_batch_settings
from smartsim.app.run_settings import create_run_settings

__all__ = ["create_batch_settings", "create_run_settings"]
