"""Tensors and metadata under one name."""

from smartsim.client import Dataset

__all__ = ["Dataset"]
