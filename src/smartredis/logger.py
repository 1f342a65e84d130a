"""Log lines."""

from smartsim.client import SRLoggingLevel, log_data, log_error, log_warning

__all__ = ["SRLoggingLevel", "log_data", "log_error", "log_warning"]
