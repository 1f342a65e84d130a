"""What the clients have in common: a name for log lines, and the prefixes."""

from __future__ import annotations

from dataclasses import replace

from smartsim.app.client.interface import Interface
from smartsim.app.client.logging import SRObject
from smartsim.domain.client_errors import RedisRuntimeError, check_type


class PrefixedClient(SRObject):
    """A client whose names are prefixed.

    Args:
        logger_name: begins its log lines.
        interface: its calls.
    """

    def __init__(self, logger_name: str, interface: Interface) -> None:
        super().__init__(logger_name)
        self._interface = interface

    def set_data_source(self, source_id: str) -> None:
        """Read under another prefix from now on.

        Args:
            source_id: one of the entities that the experiment registered with this one (`SSKEYIN`).

        Raises:
            RedisRuntimeError: it is none of them.

        Example:
            >>> client.set_data_source("sim_1")  # doctest: +SKIP
            >>> client.get_tensor("temperature")  # doctest: +SKIP
        """
        check_type(source_id, "source_id", str)
        try:
            self._interface.prefixes = self._interface.prefixes.reading_from(source_id)
        except LookupError as error:
            raise RedisRuntimeError(str(error), f"{type(self).__name__}.set_data_source") from None

    def use_tensor_ensemble_prefix(self, use_prefix: bool) -> None:
        """Say whether names of tensors are prefixed from now on; they are at first."""
        check_type(use_prefix, "use_prefix", bool)
        self._interface.prefixes = replace(self._interface.prefixes, tensors=use_prefix)

    def use_dataset_ensemble_prefix(self, use_prefix: bool) -> None:
        """Say whether names of datasets are prefixed from now on; they are at first."""
        check_type(use_prefix, "use_prefix", bool)
        self._interface.prefixes = replace(self._interface.prefixes, datasets=use_prefix)

    def use_list_ensemble_prefix(self, use_prefix: bool) -> None:
        """Say whether names of lists are prefixed from now on; they are at first."""
        check_type(use_prefix, "use_prefix", bool)
        self._interface.prefixes = replace(self._interface.prefixes, lists=use_prefix)

    def use_model_ensemble_prefix(self, use_prefix: bool) -> None:
        """Say whether names of models and scripts are prefixed from now on; they are not at first."""
        check_type(use_prefix, "use_prefix", bool)
        self._interface.prefixes = replace(self._interface.prefixes, models=use_prefix)
