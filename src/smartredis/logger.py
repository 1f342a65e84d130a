"""Log lines."""

from smartsim.client import log_data, log_error, log_warning

__all__ = ["log_data", "log_error", "log_warning"]
