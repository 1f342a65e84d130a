"""A worker: the process that runs models and scripts for a shard, ``python -m smartsim.app.worker``.

The supervisor of the shard starts it (`smartsim.app.supervisor`). It may be started by hand, on another machine, say::

    python -m smartsim.app.worker tcp://node01:6379 --password-file secret --device GPU:1

A worker has one device. For ``GPU:<n>`` its process must see that device alone (``CUDA_VISIBLE_DEVICES``; the
supervisor sees to it), so that its frameworks know it as ``GPU:0``.

It ends when its connection does, and at a SIGTERM or SIGINT: it holds nothing that it would have to put away.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, NoReturn, TypeVar

from smartsim.adapters.work.resp import RespWorkSource
from smartsim.app.devices import parse_device
from smartsim.app.runtimes import installed_versions, model_runtimes, script_runtime
from smartsim.app.serving import Programs, Serving
from smartsim.domain.addresses import Address, parse_addresses
from smartsim.ports.model_runtime import Parallelism
from smartsim.ports.work_source import WorkSourceLostError

_END: Final = threading.Lock()  # held by the thread that ends the process
_T = TypeVar("_T")


def main(arguments: Sequence[str] | None = None) -> None:
    """Work until the shard has gone, or something goes wrong that a new process may not suffer from."""
    options = _parse(arguments)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parallelism = Parallelism(intra_op=options.intra_op, inter_op=options.inter_op)
    device = "CPU" if options.device == "CPU" else "GPU:0"
    programs = Programs(model_runtimes(parallelism), script_runtime(parallelism), device)
    try:
        sources = _connect(options)
    except (OSError, WorkSourceLostError) as error:
        sys.exit(str(error))
    for source in sources:
        threading.Thread(target=_work, args=[Serving(source, programs)], daemon=True).start()
    if options.ready is not None:
        os.write(options.ready, b"\n")
        os.close(options.ready)
    _wait_for_the_end(sources)
    _end("The shard has closed the connection", 0)


def _connect(options: argparse.Namespace) -> list[RespWorkSource]:
    with open(options.password_file, encoding="utf-8") as stream:
        password = stream.read().strip()
    sources = [RespWorkSource(options.address, options.user, password) for _ in range(options.threads)]
    for source in sources:
        source.hello(options.device, installed_versions())
    return sources


def _work(serving: Serving) -> None:
    try:
        serving.serve()
    except BaseException as error:  # noqa: BLE001 - the process ends, and says why
        _end(f"{type(error).__name__}: {error}", 0 if isinstance(error, WorkSourceLostError) else 1)


def _wait_for_the_end(sources: Iterable[RespWorkSource]) -> None:
    """Wait until the shard closes a connection: the thread that uses it may be in a model that never ends."""
    ends = select.poll()
    for source in sources:
        ends.register(source, select.POLLRDHUP)
    ends.poll()


def _end(why: str, code: int) -> NoReturn:
    """End at once, as threads may be within a framework, which does not like to be torn down below them."""
    with _END:
        print(why, file=sys.stderr, flush=True)  # noqa: T201 - its standard error is its log
        os._exit(code)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="smartsim.app.worker", description="Run models and scripts for a shard.")
    parser.add_argument("address", type=_told(_parse_address), help="of the shard: host:port or unix:///path")
    parser.add_argument("--user", default="worker")
    parser.add_argument("--password-file", required=True, help="file with the user's password")
    parser.add_argument("--device", type=_told(parse_device), default="CPU", help="CPU, or GPU:<number>")
    whole, count = _told(partial(_parse_number, 0)), _told(partial(_parse_number, 1))
    parser.add_argument("--threads", type=count, default=1, help="how many runs at once")
    parser.add_argument("--intra-op", type=whole, default=0, help="threads of one operation; 0: as the framework likes")
    parser.add_argument("--inter-op", type=whole, default=0, help="operations at once; 0: as the framework likes")
    parser.add_argument("--ready", type=int, help="descriptor of a pipe that is told when the worker is connected")
    return parser.parse_args(arguments)


def _told(parse: Callable[[str], _T]) -> Callable[[str], _T]:
    """Have a `ValueError` told with its own text."""

    def told(text: str) -> _T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return told


def _parse_address(text: str) -> Address:
    address, *others = parse_addresses(text)
    if others:
        raise ValueError(f"{text!r} are several addresses: a worker works for one shard")
    return address


def _parse_number(least: int, text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise ValueError(f"{text!r} is not a whole number of at least {least}")
    return int(text)


if __name__ == "__main__":
    main()
