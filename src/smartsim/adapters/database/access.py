"""Who may do what on a server: its users and their rules.

Applications get what is listed, so that a command that a later server brings is closed until somebody has looked at it.
"""

from __future__ import annotations

import hashlib

from smartsim.ports.database_server import Credentials

DEFAULT_USER = "default"
"""As whom clients work that name no user: all that applications have."""

WORKER = "worker"
"""As whom the workers beside a shard log in."""

OBSERVER = "observer"
"""As whom the supervisor of the workers samples a shard when the driver has gone."""

# The kinds of data, and what belongs to a connection. None of it stops, changes or watches the server, and what walks
# over all keys at once (KEYS, FLUSHALL, SORT) is among what the server calls dangerous. Scripts of the server (EVAL,
# FCALL) would occupy it for as long as they like.
_DATA = (
    "+@string +@bitmap +@hash +@list +@set +@sortedset +@stream +@geo +@hyperloglog +@keyspace +@pubsub "
    "+@transaction +@connection -@admin -@dangerous -@scripting"
)
# Named one by one: servers before Redis 7.2 put no commands of modules into their categories.
_MODULE = (
    "+ai.tensorset +ai.tensorget "
    "+ai._datasetput +ai._datasetget +ai._datasetdel +ai._datasetcopy +ai._datasetrename "
    "+ai.modelstore +ai.modelset +ai.modelget +ai.modeldel +ai.modelexecute +ai.modelrun +ai._modelscan "
    "+ai.scriptstore +ai.scriptset +ai.scriptget +ai.scriptdel +ai.scriptexecute +ai.scriptrun +ai._scriptscan "
    "+ai.dagexecute +ai.dagexecute_ro +ai.dagrun +ai.dagrun_ro +ai._daglocal +ai._wait +ai.info +ai.config"
)
# Given back, since clients of old and common libraries send it. FLUSHDB deletes no more than DEL may, and SAVE writes
# to the one file that the administrator has chosen.
_GIVEN_BACK = (
    "+info +flushdb +save +config|get +time +command +memory|usage "
    "+cluster|slots +cluster|shards +cluster|nodes +cluster|info +cluster|myid "
    "+cluster|keyslot +cluster|countkeysinslot +cluster|getkeysinslot"
)
_APPLICATIONS = f"~* &* -@all {_DATA} {_MODULE} {_GIVEN_BACK}"
# What keeps the lease of a database asks who is connected, and what was done.
_WORKERS = "resetchannels -@all +ai._worker +auth +ping +client|list +info"
# Counters, beginnings of slow commands, names of keys, their types and sizes: no value, and nothing that changes one.
_OBSERVERS = "resetchannels -@all %R~* +info +slowlog|get +scan +type +memory|usage"

CLOSE_SETTINGS = ("ACL", "SETUSER", DEFAULT_USER, "-config")
"""Takes the settings away from applications: for a server that has a password among them."""


def users(administrator: Credentials, worker: str, observer: str, applications: str | None) -> list[str]:
    """Return the lines for the users of a server, in the terms of its configuration file.

    Args:
        administrator: who may do everything.
        worker: the workers' password.
        observer: that of who samples.
        applications: their password; None for none.
    """
    door = "nopass" if applications is None else _hashed(applications)
    return [
        f"user {DEFAULT_USER} on {door} {_APPLICATIONS}",
        f"user {WORKER} on {_hashed(worker)} {_WORKERS}",
        f"user {OBSERVER} on {_hashed(observer)} {_OBSERVERS}",
        f"user {administrator.username} on {_hashed(administrator.password)} ~* &* +@all",
    ]


def _hashed(password: str) -> str:
    return f"#{hashlib.sha256(password.encode()).hexdigest()}"
