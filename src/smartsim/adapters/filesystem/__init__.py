"""File systems: the operations that generating an experiment needs."""
