"""The options of a client."""

from smartsim.client import ConfigOptions

__all__ = ["ConfigOptions"]
