"""A worker: the process that runs models and scripts for a shard, ``python -m smartsim.app.worker``.

The supervisor of the shard starts it (`smartsim.app.supervisor`). It may be started by hand, on another machine, say::

    python -m smartsim.app.worker tcp://node01:6379 --password-file secret --device GPU:1

A worker has one device. For ``GPU:<n>`` its process must see that device alone (``CUDA_VISIBLE_DEVICES``; the
supervisor sees to it), so that its frameworks know it as ``GPU:0``.

It ends when its connection does, and at a SIGTERM: it holds nothing that it would have to put away.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from queue import SimpleQueue

from smartsim.adapters.work.resp import RespWorkSource
from smartsim.app.runtimes import installed_versions, model_runtimes, script_runtime
from smartsim.app.serving import Programs, Serving
from smartsim.domain.addresses import Address, parse_addresses
from smartsim.ports.model_runtime import Parallelism
from smartsim.ports.work_source import WorkSourceLostError


def main(arguments: Sequence[str] | None = None) -> None:
    """Work until the shard has gone, or something goes wrong that a new process may not suffer from."""
    options = _parse(arguments)
    with open(options.password_file, encoding="utf-8") as stream:
        password = stream.read().strip()
    (address,) = parse_addresses(options.address)
    parallelism = Parallelism(intra_op=options.intra_op, inter_op=options.inter_op)
    device = "CPU" if options.device == "CPU" else "GPU:0"
    programs = Programs(model_runtimes(parallelism), script_runtime(parallelism), device)
    ends: SimpleQueue[BaseException] = SimpleQueue()
    for source in [
        _connected(address, options.user, password, options.device, installed_versions())
        for _ in range(options.threads)
    ]:
        threading.Thread(target=_work, args=(Serving(source, programs), ends), daemon=True).start()
    if options.ready is not None:
        os.write(options.ready, b"\n")
        os.close(options.ready)
    end = ends.get()
    print(f"{type(end).__name__}: {end}", file=sys.stderr, flush=True)  # noqa: T201 - its standard error is its log
    # Threads may be within a framework, which does not like to be torn down below them.
    os._exit(0 if isinstance(end, WorkSourceLostError) else 1)


def _connected(address: Address, user: str, password: str, device: str, versions: Mapping[str, str]) -> RespWorkSource:
    source = RespWorkSource(address, user, password)
    source.hello(device, versions)
    return source


def _work(serving: Serving, ends: SimpleQueue[BaseException]) -> None:
    try:
        serving.serve()
    except BaseException as error:  # noqa: BLE001 - the process ends, and says why
        ends.put(error)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="smartsim.app.worker", description="Run models and scripts for a shard.")
    parser.add_argument("address", help="of the shard: host:port or unix:///path")
    parser.add_argument("--user", default="worker")
    parser.add_argument("--password-file", required=True, help="file with the user's password")
    parser.add_argument("--device", default="CPU", help="CPU, or GPU:<number>")
    parser.add_argument("--threads", type=int, default=1, help="how many runs at once")
    parser.add_argument("--intra-op", type=int, default=0, help="threads of one operation; 0: as the framework likes")
    parser.add_argument("--inter-op", type=int, default=0, help="operations at once; 0: as the framework likes")
    parser.add_argument("--ready", type=int, help="descriptor of a pipe that is told when the worker is connected")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
