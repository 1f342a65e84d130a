"""Exports of telemetry."""
