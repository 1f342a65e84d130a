"""The options of a client: the environment of the process, and what a script sets instead."""

from __future__ import annotations

import os

from smartsim.domain.client_config import parse_integer, variable_name
from smartsim.domain.client_errors import RedisKeyError, RedisRuntimeError, check_type


class ConfigOptions:
    """The options of clients of one database; made with `ConfigOptions.create_from_environment`.

    An option is read from the environment when it is first asked for, and stays as it was then.

    Example:
        >>> options = ConfigOptions.create_from_environment("ocean")
        >>> options.override_string_option("SSDB", "127.0.0.1:6379")  # else: the environment's SSDB_ocean
        >>> options.get_string_option("SSDB")
        '127.0.0.1:6379'
    """

    def __init__(self) -> None:
        self._suffix: str | None = None
        self._values: dict[str, str | None] = {}

    @classmethod
    def create_from_environment(cls, db_suffix: str) -> ConfigOptions:
        """Return the options of the database of a given identifier.

        Args:
            db_suffix: the identifier: ``SSDB`` is read as ``SSDB_<db_suffix>``, and so on. Empty for the database that
                was given none.
        """
        check_type(db_suffix, "db_suffix", str)
        options = cls()
        options._suffix = db_suffix
        return options

    @staticmethod
    def from_pybind(configoptions: ConfigOptions) -> ConfigOptions:
        """Return the options themselves: of old, scripts made them of a native object."""
        check_type(configoptions, "configoptions", ConfigOptions)
        return configoptions

    def get_data(self) -> ConfigOptions:
        """Return the options themselves: of old, their native object."""
        return self

    def set_configoptions(self, configoptions: ConfigOptions) -> None:
        """Become other options: from now on, what is set in one of the two is set in both."""
        check_type(configoptions, "configoptions", ConfigOptions)
        self.__dict__ = configoptions.__dict__

    @property
    def suffix(self) -> str:
        """The identifier of the database; empty for none."""
        if self._suffix is None:
            raise RedisRuntimeError(
                "Attempting to call managed method on ConfigOptions object not created from a factory method: "
                "use ConfigOptions.create_from_environment"
            )
        return self._suffix

    def get_integer_option(self, option_name: str) -> int:
        """Return the value of an option as a number.

        Raises:
            RedisKeyError: it is not set.
            ValueError: it is not a whole number.
        """
        return parse_integer(self._variable(option_name), self.get_string_option(option_name))

    def get_string_option(self, option_name: str) -> str:
        """Return the value of an option.

        Raises:
            RedisKeyError: it is not set.
        """
        value = self.find(option_name)
        if value is None:
            raise RedisKeyError(f"No value found for key {self._variable(option_name)}", key=option_name)
        return value

    def find(self, option_name: str) -> str | None:
        """Return the value of an option, None when it is not set."""
        variable = self._variable(option_name)
        if variable not in self._values:
            self._values[variable] = os.environ.get(variable) if option_name else None
        return self._values[variable]

    def is_configured(self, option_name: str) -> bool:
        """Return whether an option is set."""
        return self.find(option_name) is not None

    def override_integer_option(self, option_name: str, value: int) -> None:
        """Set an option to a number, for these options only; the environment stays as it is."""
        check_type(value, "value", int)
        self._values[self._variable(option_name)] = str(int(value))  # of a bool, too

    def override_string_option(self, option_name: str, value: str) -> None:
        """Set an option to a text, for these options only; the environment stays as it is."""
        check_type(value, "value", str)
        self._values[self._variable(option_name)] = value

    def _variable(self, option_name: str) -> str:
        check_type(option_name, "option_name", str)
        return variable_name(option_name, self.suffix)
