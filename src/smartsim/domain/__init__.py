"""Entities, expansion, prefixing, settings and the status machine: pure Python, no I/O, no clock, no environment."""
