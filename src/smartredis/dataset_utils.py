"""Datasets as arrays of xarray."""

from smartsim.client import DatasetConverter

__all__ = ["DatasetConverter"]
