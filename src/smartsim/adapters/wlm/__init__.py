"""Workload managers: start steps, report what becomes of them, stop them."""
