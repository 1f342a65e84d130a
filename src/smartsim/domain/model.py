"""A model: one application, with its parameters, its files and its place among the others."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from smartsim.domain.arguments import parameter_words
from smartsim.domain.attached_files import AttachedFiles
from smartsim.domain.colocation import Pinning, colocated_settings, tcp_connection, unix_connection
from smartsim.domain.entity import SmartSimEntity
from smartsim.domain.errors import EntityExistsError, SSUnsupportedError
from smartsim.domain.ml_objects import BringsMLObjects
from smartsim.domain.parameters import model_parameters
from smartsim.domain.settings.batch import BatchSettings
from smartsim.domain.settings.run import RunSettings


class Model(BringsMLObjects, SmartSimEntity):
    """An application to run. Two models are equal when their names are.

    Args:
        name: unique in the experiment.
        params: parameters by name: strings and numbers, kept as strings.
        run_settings: how it is run; copied.
        path: its directory; absolute.
        params_as_args: which parameters `params_to_args` hands over on the command line.
        batch_settings: the batch job it runs in, if it has its own; copied.

    Raises:
        TypeError: an argument has another type.

    Attributes:
        incoming_entities: the entities whose data it reads.
        files: what is attached to it, or None.
    """

    def __init__(
        self,
        name: str,
        params: Mapping[str, Any] | None,
        run_settings: RunSettings,
        path: str,
        params_as_args: Sequence[str] | None = None,
        batch_settings: BatchSettings | None = None,
    ) -> None:
        SmartSimEntity.__init__(self, name, path, run_settings)
        # Settings that came from a colocated model already list what that one brings along.
        colocated = self.run_settings.colocated_db_settings or {}
        BringsMLObjects.__init__(self, colocated.get("db_models", []), colocated.get("db_scripts", []))
        self.params = model_parameters(params)
        self.params_as_args = checked_names(params_as_args)
        self.batch_settings = copied_batch_settings(batch_settings)
        self.incoming_entities: list[SmartSimEntity] = []
        self.files: AttachedFiles | None = None
        self._key_prefixing = False

    @property
    def colocated(self) -> bool:
        """Whether it has a database on its own nodes."""
        return self.run_settings.colocated_db_settings is not None

    def register_incoming_entity(self, incoming_entity: SmartSimEntity) -> None:
        """Let the application read what another entity writes under its own prefix.

        Args:
            incoming_entity: the other one; inside the application, `Client.set_data_source` selects it by name.

        Raises:
            EntityExistsError: one of that name is registered already.
        """
        self.check_incoming_entity(incoming_entity)
        self.incoming_entities.append(incoming_entity)

    def check_incoming_entity(self, incoming_entity: SmartSimEntity) -> None:
        """Raise what `register_incoming_entity` would raise."""
        if any(entity.name == incoming_entity.name for entity in self.incoming_entities):
            raise EntityExistsError(f"'{incoming_entity.name}' has already been registered as an incoming entity")

    def enable_key_prefixing(self) -> None:
        """Have the application write its data under its own name, so that it does not meet that of others."""
        self._key_prefixing = True

    def disable_key_prefixing(self) -> None:
        """Have the application write its data under the keys as they are."""
        self._key_prefixing = False

    def query_key_prefixing(self) -> bool:
        """Return whether the application writes its data under its own name."""
        return self._key_prefixing

    def params_to_args(self) -> None:
        """Add the parameters named by `params_as_args` to the arguments of the executable.

        A value is part of one argument, whatever it holds.

        Raises:
            ValueError: a name is not among the parameters.
        """
        self.run_settings.add_exe_args(parameter_words(self.params_as_args, self.params))

    def colocate_db(self, *args: Any, **kwargs: Any) -> None:
        """Old name of `colocate_db_tcp`."""
        warnings.warn(
            "colocate_db is now called colocate_db_tcp; the old name will go away", FutureWarning, stacklevel=2
        )
        self.colocate_db_tcp(*args, **kwargs)

    def colocate_db_tcp(
        self,
        port: int = 6379,
        ifname: str | list[str] = "lo",
        db_cpus: int = 1,
        custom_pinning: Pinning | None = None,
        debug: bool = False,
        db_identifier: str = "",
        **kwargs: Any,
    ) -> None:
        """Put a database on each node that the model runs on, reached through TCP.

        Args:
            port: TCP port; 0 for any that is free on the node, for several databases on one.
            ifname: one network interface or several that it listens on, besides the loopback that the model uses.
            db_cpus: CPUs for the database.
            custom_pinning: the CPUs it is pinned to, as the system numbers them, one by one or in ranges; None for the
                first `db_cpus` of those that the job has, empty for no pinning. Where it is pinned, the model runs on
                the others.
            debug: whether the database logs what it does.
            db_identifier: its name, for applications with several databases.
            **kwargs: ``threads_per_queue``, ``inter_op_threads`` and ``intra_op_threads`` are for the workers that run
                machine-learning models; others are options of the server, with ``_`` for ``-``.

        Raises:
            TypeError, ValueError: an argument has another type or is out of range.
            SSUnsupportedError: the model is several programs in one.

        Example:
            ::

                model.colocate_db_tcp(port=6780, db_cpus=4, custom_pinning=[range(4)], intra_op_threads=2)
        """
        connection = tcp_connection(port, ifname)
        self._colocate(colocated_settings(connection, db_cpus, custom_pinning, debug, db_identifier, kwargs))

    def colocate_db_uds(
        self,
        unix_socket: str | None = None,
        socket_permissions: int = 755,
        db_cpus: int = 1,
        custom_pinning: Pinning | None = None,
        debug: bool = False,
        db_identifier: str = "",
        **kwargs: Any,
    ) -> None:
        """Put a database on each node that the model runs on, reached through a unix socket.

        Args:
            unix_socket: path of the socket, absolute, of letters, digits and ``. : _ - /``. By default each node has
                one in a directory that nobody else can reach.
            socket_permissions: the octal digits of its permissions.
            db_cpus: see `colocate_db_tcp`; so for the others.
            custom_pinning: see `colocate_db_tcp`.
            debug: see `colocate_db_tcp`.
            db_identifier: see `colocate_db_tcp`.
            **kwargs: see `colocate_db_tcp`.

        Raises:
            TypeError, ValueError: an argument has another type or is out of range.
            SSUnsupportedError: see `colocate_db_tcp`.
        """
        connection = unix_connection(unix_socket, socket_permissions)
        self._colocate(colocated_settings(connection, db_cpus, custom_pinning, debug, db_identifier, kwargs))

    def _colocate(self, settings: dict[str, Any]) -> None:
        if self.run_settings.mpmd:
            raise SSUnsupportedError(
                f"{self.name} runs several programs as one, which a colocated database does not support: "
                "start a database with create_database"
            )
        # The lists themselves: what is added to the model later belongs to its database as well.
        self.run_settings.colocated_db_settings = {
            **settings,
            "db_models": self._db_models,
            "db_scripts": self._db_scripts,
        }

    def __eq__(self, other: object) -> bool:
        return self.name == other.name if isinstance(other, Model) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return f"Name: {self.name}\nType: {self.type}\n{self.run_settings}\n"


def checked_names(params_as_args: object) -> list[str]:
    """Return names of parameters as a new list.

    Raises:
        TypeError: it is not a list of strings.
    """
    if params_as_args is None:
        return []
    if not isinstance(params_as_args, list | tuple) or not all(isinstance(name, str) for name in params_as_args):
        raise TypeError(f"params_as_args must be a list of names of parameters, not {params_as_args!r}")
    return list(params_as_args)


def copied_batch_settings(batch_settings: object) -> BatchSettings | None:
    """Return a copy of batch settings.

    Raises:
        TypeError: it is something else.
    """
    if batch_settings is None:
        return None
    if not isinstance(batch_settings, BatchSettings):
        raise TypeError(
            f"batch_settings must be BatchSettings, as create_batch_settings returns them, not {batch_settings!r}"
        )
    return batch_settings.copy()
