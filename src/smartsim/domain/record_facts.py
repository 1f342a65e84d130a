"""What the record of an experiment tells of entities: the parts of its events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """The options of a batch job.

    Args:
        command: the program that submits.
        args: its options; None for one without a value.
    """

    command: str
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EnsembleFacts:
    """An ensemble as it was launched.

    Args:
        name: of the ensemble.
        directory: its own.
        params: values by name of parameter.
        batch: the job of all members, if they share one.
    """

    name: str
    directory: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    batch: BatchOptions | None = None


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """A database as it was launched.

    Args:
        name: of the database.
        directory: its own.
        interfaces: the network interfaces that were asked for.
        shards: how many.
        replicas: of each shard.
        batch: the job of its servers, if they have one.
    """

    name: str
    directory: str = ""
    interfaces: tuple[str, ...] = ()
    shards: int = 1
    replicas: int = 0
    batch: BatchOptions | None = None


@dataclass(frozen=True, slots=True)
class Files:
    """The files attached to an entity, by what becomes of them."""

    copy: tuple[str, ...] = ()
    symlink: tuple[str, ...] = ()
    configure: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How an application is run, as its settings say.

    Args:
        exe: the program.
        exe_args: its arguments.
        run_command: the program that starts it; empty when it is started directly.
        run_args: options of that.
    """

    exe: tuple[str, ...]
    exe_args: tuple[str, ...] = ()
    run_command: str = ""
    run_args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MLObject:
    """A model or script that an entity brings along for its database."""

    name: str
    backend: str
    device: str


@dataclass(frozen=True, slots=True)
class ShardFacts:
    """A server of a database that answers.

    Args:
        name: its entity.
        host: where clients find it: an address; so the next.
        port: the TCP port.
        shard: counts the shards from 0; a replica has the number of what it copies.
        slots: the first and the last hash slot; empty without a cluster.
        is_replica: whether it copies the shard.
    """

    name: str
    host: str
    port: int
    shard: int = 0
    slots: tuple[int, ...] = ()
    is_replica: bool = False
