"""What can write log lines."""

from smartsim.client import SRObject

__all__ = ["SRObject"]
