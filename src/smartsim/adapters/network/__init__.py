"""Networks: interfaces and ports."""
