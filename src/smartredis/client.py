"""The client."""

from smartsim.client import Client

__all__ = ["Client"]
