"""What is recorded of experiments and databases beside their results: the switches."""

from __future__ import annotations

from collections.abc import Mapping

FREQUENCY_VARIABLE = "SMARTSIM_TELEMETRY_FREQUENCY"
_DEFAULT_INTERVAL = 5
_LONGEST_INTERVAL = 600


class TelemetryConfiguration:
    """A switch.

    Args:
        enabled: its first position.
    """

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled

    @property
    def is_enabled(self) -> bool:
        """Whether it is on."""
        return self._enabled

    def enable(self) -> None:
        """Switch it on. What runs is sampled from the next start of its experiment on."""
        self._enabled = True

    def disable(self) -> None:
        """Switch it off. Results, exit codes and files of entities are the same without."""
        self._enabled = False


def sampling_interval(environment: Mapping[str, str]) -> int:
    """Return the seconds between two samples, as the environment has them.

    Args:
        environment: the variables of the driver.

    Raises:
        ValueError: they are no whole number from 1 to 600.

    Example:
        >>> sampling_interval({"SMARTSIM_TELEMETRY_FREQUENCY": "30"})
        30
    """
    text = environment.get(FREQUENCY_VARIABLE, str(_DEFAULT_INTERVAL))
    try:
        interval = int(text)
    except ValueError:
        interval = 0
    if not 1 <= interval <= _LONGEST_INTERVAL:
        raise ValueError(
            f"{FREQUENCY_VARIABLE} must be a whole number of seconds from 1 to {_LONGEST_INTERVAL}, not {text!r}"
        )
    return interval
