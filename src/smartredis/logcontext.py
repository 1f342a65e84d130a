"""A name for log lines."""

from smartsim.client import LogContext

__all__ = ["LogContext"]
