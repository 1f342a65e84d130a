"""See `smartsim._core`."""
