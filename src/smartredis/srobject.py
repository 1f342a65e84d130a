"""What can write log lines."""

from smartsim.client import SRLoggingLevel, SRObject

__all__ = ["SRLoggingLevel", "SRObject"]
