"""Event logs: append-only records of an experiment."""
