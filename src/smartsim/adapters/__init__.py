"""One folder per port: the real adapters and, beside them, the fake that the same conformance suite covers."""
