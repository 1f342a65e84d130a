"""The command line of a worker, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from servers import free_port
from wire_shard import PASSWORD, WireShard, serving

DEADLINE = 60.0


def worker(directory: Path, address: str, *options: str, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
    """Run a worker to its end."""
    secret = directory / "password"
    secret.write_text(password)
    command = [sys.executable, "-m", "smartsim.app.worker", address, "--password-file", str(secret), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--device", "tpu"), "'tpu' is not a device: write CPU, GPU or GPU:<number>"),
        (("--device", "GPU:x"), "'GPU:x' is not a device"),
        (("--threads", "0"), "--threads: '0' is not a whole number of at least 1"),
        (("--threads", "many"), "--threads: 'many' is not a whole number of at least 1"),
        (("--intra-op", "-1"), "--intra-op: '-1' is not a whole number of at least 0"),
    ],
)
def test_what_makes_no_sense_is_told(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    done = worker(tmp_path, "127.0.0.1:6379", *options)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("address", ["node", "a:1,b:2"])
def test_what_is_not_one_address_is_told(tmp_path: Path, address: str) -> None:
    done = worker(tmp_path, address)
    assert done.returncode == 2
    assert f"argument address: {address!r}" in done.stderr


def test_a_shard_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    done = worker(tmp_path, address)
    assert done.returncode == 1
    assert done.stderr == f"There is no shard at {address}: [Errno 111] Connection refused\n"


def test_a_shard_that_refuses_is_told_in_one_line(tmp_path: Path) -> None:
    with serving(WireShard([], {})) as address:
        done = worker(tmp_path, str(address), password="wrong")
    assert (done.returncode, done.stderr) == (1, "WRONGPASS invalid username-password pair\n")


def test_a_password_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    done = worker(tmp_path, "127.0.0.1:6379", "--password-file", str(tmp_path / "none"))
    assert done.returncode == 1
    assert done.stderr == f"[Errno 2] No such file or directory: '{tmp_path / 'none'}'\n"


@pytest.mark.parametrize(("device", "known"), [("cpu", "CPU"), ("gpu", "GPU:0"), ("Gpu:03", "GPU:3")])
def test_the_shard_is_told_the_device_as_it_knows_it(tmp_path: Path, device: str, known: str) -> None:
    shard = WireShard([], {})
    with serving(shard) as address:
        done = worker(tmp_path, str(address), "--device", device)
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 1
    assert shard.greeting is not None
    assert shard.greeting[0] == known
