"""Paths that existing driver scripts import from; what they give lives elsewhere."""
