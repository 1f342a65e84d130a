"""The workload manager of this machine."""

from __future__ import annotations

from smartsim.app.launchers import detect_launcher

__all__ = ["detect_launcher"]
