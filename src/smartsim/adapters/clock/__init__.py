"""Clocks: the time, and waiting."""
