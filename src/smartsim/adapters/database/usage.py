"""What a server says of its work: its answers to INFO, SLOWLOG and MEMORY USAGE."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import unquote

from smartsim.domain.metrics import LargeKey, SlowCall
from smartsim.ports.database_server import ClientFacts, LargestKeys, ProgramUsage, ServerUsage

if TYPE_CHECKING:
    import redis

Word: TypeAlias = str | bytes | int
Exchange: TypeAlias = Callable[[Sequence[Sequence[Word]]], list[Any]]
"""Sends commands together; returns the reply to each: bytes, whole numbers, lists of such, or why it was refused."""

CLIENT: Final = "smartsim-sampler"
"""What who asks is called on the server, so that it can be left out of what is counted."""

_SECTIONS: Final = (
    *("clients", "memory", "stats", "replication", "keyspace", "commandstats", "latencystats"),
    *("ai_workers", "ai_models", "ai_scripts"),
)
# What SmartSim asks of servers, clients on connecting, and servers each other.
_UNCOUNTED: Final = frozenset(
    (
        *("acl", "ai._worker", "auth", "client", "cluster", "config", "debug", "hello", "info", "latency", "memory"),
        *("module", "ping", "psync", "readonly", "replconf", "replicaof", "scan", "shutdown", "slowlog", "type"),
    )
)
_CONNECTING: Final = frozenset(("auth", "client", "hello"))  # what is said before one has a name
_SECRETIVE: Final = frozenset(("acl", "auth", "config", "hello", "migrate"))  # whose words are not for everybody
_SLOW_CALLS: Final = 64  # asked for at once
_WORDS, _WORD = 4, 60  # that are told of a slow call; characters of each
_LOOKED_AT: Final = 2000  # keys at once
_LARGEST: Final = 10


def over(connection: redis.Redis) -> Exchange:
    """Return what exchanges commands over a connection, which is for nothing else."""
    connection.response_callbacks.clear()  # what redis-py makes of answers takes longer than all the rest

    def exchange(commands: Sequence[Sequence[Word]]) -> list[Any]:
        with connection.pipeline(transaction=False) as pipeline:
            for words in commands:
                pipeline.execute_command(*words)
            replies: list[Any] = pipeline.execute(raise_on_error=False)
            return replies

    return exchange


def ask(exchange: Exchange, *, lists_clients: bool = False) -> ServerUsage:
    """Return what a server says, in one exchange.

    Args:
        exchange: with the server, on a connection of its own that is called `CLIENT`.
        lists_clients: whether it is asked for its clients, one by one.
    """
    commands: list[tuple[Word, ...]] = [("INFO", *_SECTIONS), ("SLOWLOG", "GET", _SLOW_CALLS)]
    replies = exchange([*commands, ("CLIENT", "LIST")] if lists_clients else commands)
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    information, slow, *listed = replies
    clients = [parse_clients(_text(reply)) for reply in listed]
    return parse(_text(information), parse_slow_calls(slow), *clients)


def look_for_keys(exchange: Exchange, known: LargestKeys) -> LargestKeys:
    """Look at some more keys, and once more at the largest ones."""
    (reply,) = exchange([("SCAN", known.cursor, "COUNT", _LOOKED_AT)])
    if isinstance(reply, Exception):
        raise reply
    names: list[bytes] = list(dict.fromkeys([*known.keys, *reply[1]]))
    # One may be refused, such as of a key that has moved meanwhile.
    sizes = exchange([("MEMORY", "USAGE", name, "SAMPLES", 1) for name in names])
    sized = [(size, name) for size, name in zip(sizes, names, strict=True) if isinstance(size, int)]
    largest = sorted(sized, reverse=True)[:_LARGEST]
    # A look at the type is a hit: only at those that are new.
    types = {name: key.type for name, key in known.keys.items()}
    new = [name for _, name in largest if name not in types]
    types.update(zip(new, map(_text, exchange([("TYPE", name) for name in new])), strict=True))
    return LargestKeys({name: LargeKey(_text(name), types[name], size) for size, name in largest}, int(reply[0]))


def parse(
    information: str, slow: Mapping[int, SlowCall] = MappingProxyType({}), clients: tuple[ClientFacts, ...] = ()
) -> ServerUsage:
    r"""Return what an answer to INFO says.

    Args:
        information: the answer; what it does not tell is 0.
        slow: calls that took long.
        clients: one by one.

    Example:
        >>> usage = parse("connected_clients:3\r\ncmdstat_get:calls=7,usec=9\r\ncmdstat_ping:calls=9,usec=1\r\n")
        >>> usage.client_count, usage.calls
        (2, {'get': 7})
    """
    facts = dict(line.split(":", 1) for line in information.splitlines() if ":" in line)

    def number(name: str) -> int:
        return int(facts.get(name, 0))

    return ServerUsage(
        used_memory=number("used_memory"),
        used_memory_peak=number("used_memory_peak"),
        total_system_memory=number("total_system_memory"),
        clients=clients,
        client_count=max(0, number("connected_clients") - 1),
        keys=sum(int(found["keys"]) for name, found in _named(facts, "db") if name.isdigit()),
        hits=number("keyspace_hits"),
        misses=number("keyspace_misses"),
        bytes_in=number("total_net_input_bytes"),
        bytes_out=number("total_net_output_bytes"),
        calls={name: int(found["calls"]) for name, found in _counted(facts, "cmdstat_")},
        latencies={
            name: (float(found["p50"]), float(found["p99"]), float(found["p99.9"]))
            for name, found in _counted(facts, "latency_percentiles_usec_")
            if {"p50", "p99", "p99.9"} <= found.keys()  # a setting of the server says which there are
        },
        slow=slow,
        programs=_programs(facts),
        is_replica=facts.get("role") == "slave",
    )


def _named(facts: Mapping[str, str], prefix: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Return the fields that have fields of their own, by the rest of their name."""
    for name, value in facts.items():
        if name.startswith(prefix) and "=" in value:
            yield name.removeprefix(prefix), dict(word.split("=", 1) for word in value.split(",") if "=" in word)


def _counted(facts: Mapping[str, str], prefix: str) -> Iterator[tuple[str, dict[str, str]]]:
    return ((name, found) for name, found in _named(facts, prefix) if name.partition("|")[0].lower() not in _UNCOUNTED)


def _programs(facts: Mapping[str, str]) -> tuple[ProgramUsage, ...]:
    workers = [found for _, found in _named(facts, "ai_worker_")]
    programs: dict[str, ProgramUsage] = {}
    for kind, prefix in (("MODEL", "ai_model_"), ("SCRIPT", "ai_script_")):
        # What runs may have been overwritten: the latest version counts.
        for _, found in sorted(_named(facts, prefix), key=lambda named: int(named[0])):
            name, device = unquote(found["name"], errors="replace"), unquote(found["device"])
            able = [worker for worker in workers if worker["device"] == _place(device) and found["backend"] in worker]
            programs[name] = ProgramUsage(
                name,
                kind,
                found["backend"],
                device,
                calls=int(found["calls"]),
                errors=int(found["errors"]),
                queue_seconds=int(found["queue_time"]) / 1e6,
                run_seconds=int(found["run_time"]) / 1e6,
                queue_length=int(found["waiting"]),
                running=int(found["running"]),
                workers=len(able),
                batch_sizes=_batch_sizes(found["batch_sizes"]),
            )
    return tuple(programs.values())


def _place(device: str) -> str:
    """Return what workers call a device: there is one CPU, and GPU is the first one."""
    if device.upper().startswith("CPU"):
        return "CPU"
    return "GPU:0" if device.upper() == "GPU" else device.upper()


def _batch_sizes(text: str) -> dict[str, int]:
    """Return runs by the upper bound of their number of requests, given such as ``1:20 3-4:7 129+:1``."""
    sizes = {}
    for word in text.split():
        size, _, runs = word.partition(":")
        sizes["inf" if size.endswith("+") else size.rpartition("-")[2]] = int(runs)
    return sizes


def parse_clients(listing: str) -> tuple[ClientFacts, ...]:
    r"""Return the clients in an answer to CLIENT LIST, but for who asks.

    Example:
        >>> parse_clients("id=3 addr=10.0.0.1:5 name=\nid=4 addr=10.0.0.2:6 name=smartsim-sampler\n")
        (ClientFacts(id=3, address='10.0.0.1:5'),)
    """
    listed = [dict(word.split("=", 1) for word in line.split(" ") if "=" in word) for line in listing.splitlines()]
    return tuple(ClientFacts(int(found["id"]), found["addr"]) for found in listed if found.get("name") != CLIENT)


def parse_slow_calls(log: Sequence[Sequence[Any]]) -> dict[int, SlowCall]:
    """Return the calls in an answer to SLOWLOG GET, by their numbers, but for those of who asks.

    Example:
        >>> parse_slow_calls([[7, 1700000000, 12000, [b"SORT", b"list"], b"10.0.0.1:5", b""]])[7].command
        ('SORT', 'list')
    """
    return {
        int(number): SlowCall(float(at), int(microseconds), _words(words))
        for number, at, microseconds, words, *client in log
        if [_text(name) for name in client[1:]] != [CLIENT] and _text(words[0]).lower() not in _CONNECTING
    }


def _words(words: Sequence[bytes]) -> tuple[str, ...]:
    kept = 1 if _text(words[0]).lower() in _SECRETIVE else _WORDS
    return tuple(_shown(_text(word)) for word in words[:kept]) + ("...",) * (len(words) > kept)


def _shown(word: str) -> str:
    return word if len(word) <= _WORD else f"{word[:_WORD]}..."


def _text(reply: Any) -> str:
    """Return an answer as text; bytes that are none are kept, as escapes."""
    return reply.decode("utf-8", "backslashreplace") if isinstance(reply, bytes) else str(reply)
