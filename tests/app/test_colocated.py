"""Ranks with a database on their node: real processes, started as a launcher starts them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from readiness import is_readable
from smartsim.adapters.database.valkey import ValkeyServer
from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.app import colocated, colocated_supervisor
from smartsim.app.colocated_start import prepare
from smartsim.app.model import Model
from smartsim.settings import RunSettings
from waiting import wait_until

DEADLINE = 60.0
CPUS = sorted(os.sched_getaffinity(0))
_LAUNCHERS = ("OMPI_", "MPI_", "PALS_", "SLURM_", "SSDB", "SR_DB")


@dataclass
class Node:
    """What runs on a node for one run of a model."""

    directory: Path
    words: tuple[str, ...]
    ranks: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *command: str, ranks: int | None = None, **keywords: Any) -> subprocess.Popen[str]:
        """Start a rank; `ranks` is what the launcher says of their number."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_LAUNCHERS)}
        if ranks is not None:
            environment["OMPI_COMM_WORLD_LOCAL_SIZE"] = str(ranks)
        options: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        rank = subprocess.Popen(
            [*self.words, *command], text=True, env=environment, start_new_session=True, **{**options, **keywords}
        )
        self.ranks.append(rank)
        return rank

    def wait_for_late_ranks(self, seconds: float) -> None:
        """Have the supervisor wait so long for ranks that do not come."""
        program = (
            "from smartsim.app import colocated, colocated_supervisor\n"
            f"colocated_supervisor._LATE_RANKS = colocated_supervisor._UNKNOWN_RANKS = {seconds}\n"
            "colocated.main()\n"
        )
        self.words = (sys.executable, "-P", "-c", program, *self.words[-2:])

    def run(self, *command: str, **keywords: Any) -> tuple[int, str, str]:
        """Run a rank to its end; return its exit code and output."""
        rank = self.start(*command, **keywords)
        stdout, stderr = rank.communicate(timeout=DEADLINE)
        return rank.returncode, stdout, stderr

    def error(self, *command: str) -> str:
        """Run a rank that cannot have a database; return what it says."""
        code, stdout, stderr = self.run(*command)
        assert (code, stdout) == (1, "")
        self.await_end()
        return stderr

    def processes(self) -> list[psutil.Process]:
        """Return what stands beside the ranks: it works in the run's directory."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if Path(process.cwd()) == self.directory and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def find(self, kind: str) -> psutil.Process:
        """Return the supervisor, the server, what keeps its workers, or a worker."""
        beside = self.processes()
        servers = [process for process in beside if "valkey-server" in process.name()]
        if kind == "server":
            (found,) = servers
        elif kind == "worker":
            (found,) = [process for process in beside if "smartsim.app.worker" in process.cmdline()]
        else:
            above = {process.pid: process.ppid() for process in beside}
            (supervisor,) = [server.ppid() for server in servers]
            (keeper,) = [pid for pid, parent in above.items() if parent in [server.pid for server in servers]]
            found = psutil.Process(supervisor if kind == "supervisor" else keeper)
        return found

    def await_end(self) -> None:
        """Wait until nothing is left."""
        wait_until(lambda: not self.processes())


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where sockets are."""
    path = tmp_path / "t"
    path.mkdir()
    monkeypatch.setenv("TMPDIR", str(path))
    return path


Prepare = Callable[..., Node]


@pytest.fixture
def make(tmp_path: Path, temporary: Path) -> Iterator[Prepare]:
    made: list[Node] = []

    def make(colocate: Callable[[Model], None] = Model.colocate_db_uds, **settings: Any) -> Node:
        model = Model("m", None, RunSettings("sh", **settings), str(tmp_path))
        colocate(model)
        directory = tmp_path / f"run{len(made)}"
        made.append(Node(directory, prepare(model, str(directory), [], ValkeyServer(), PosixFileSystem())))
        return made[-1]

    yield make
    for node in made:
        for rank in node.ranks:
            rank.kill()
            rank.communicate(timeout=DEADLINE)
        node.await_end()
    assert not list(temporary.iterdir())


@pytest.fixture
def node(make: Prepare) -> Node:
    """One whose launcher says how many ranks there are."""
    return make(run_command="start-ranks")


def line_of(rank: subprocess.Popen[str]) -> str:
    """Return the next line of a rank."""
    assert rank.stdout is not None
    assert is_readable(rank.stdout, DEADLINE), "the rank says nothing"
    return rank.stdout.readline().strip()


def database(address: str) -> redis.Redis:
    path, retry = address.removeprefix("unix://"), Retry(NoBackoff(), 0)
    return redis.Redis(unix_socket_path=path, socket_timeout=DEADLINE, retry=retry)


WAIT = 'echo "$SSDB"; read line; exit ${line:-0}'


class TestTheRankIsTheApplication:
    @pytest.mark.parametrize(("does", "code"), [("exit 0", 0), ("exit 3", 3), ("exit 139", 139)])
    def test_its_exit_code_is_the_rank_s(self, make: Prepare, does: str, code: int) -> None:
        assert make().run("sh", "-c", does)[0] == code

    def test_its_process_is_the_rank_s(self, make: Prepare) -> None:
        rank = make().start("sh", "-c", "echo $$; exec cat")
        assert line_of(rank) == str(rank.pid)
        assert rank.communicate("a\nb\n", timeout=DEADLINE)[0] == "a\nb\n"

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGSEGV, signal.SIGUSR1])
    def test_it_ends_by_the_signals_that_the_rank_is_sent(self, make: Prepare, number: signal.Signals) -> None:
        rank = make().start("sh", "-c", "echo; exec sleep 60")
        line_of(rank)
        rank.send_signal(number)
        assert rank.wait(DEADLINE) == -number

    @pytest.mark.parametrize("name", ["TERM", "INT", "USR1"])
    def test_it_may_handle_them(self, make: Prepare, name: str) -> None:
        rank = make().start("sh", "-c", f"trap 'echo got {name}; exit 5' {name}; echo; while :; do sleep 0.01; done")
        line_of(rank)
        rank.send_signal(signal.Signals[f"SIG{name}"])
        assert rank.communicate(timeout=DEADLINE)[0] == f"got {name}\n"
        assert rank.returncode == 5

    def test_words_are_what_they_were(self, make: Prepare) -> None:
        words = ("two words", "", "$HOME;", "--", "é", "'\"")
        program = "import json, sys; print(json.dumps(sys.argv[1:]))"
        _, stdout, _ = make().run(sys.executable, "-c", program, *words)
        assert json.loads(stdout) == list(words)

    def test_it_inherits_nothing_but_its_standard_streams(self, make: Prepare) -> None:
        command = ["sh", "-c", "ls /proc/self/fd; grep -E 'Sig(Ign|Blk)' /proc/self/status"]
        without = subprocess.run(command, stdin=subprocess.PIPE, capture_output=True, text=True, check=True).stdout
        assert make().run(*command)[1] == without
        assert without.split()[:4] == ["0", "1", "2", "3"]

    def test_it_has_no_child_that_it_did_not_start(self, make: Prepare) -> None:
        program = "import os\ntry: os.wait()\nexcept ChildProcessError: print('none')"
        assert make().run(sys.executable, "-c", program)[1] == "none\n"

    @pytest.mark.parametrize(("program", "code"), [("/no/such/program", 127), ("/etc/passwd", 126)])
    def test_one_that_cannot_be_started_is_named(self, make: Prepare, program: str, code: int) -> None:
        found, _, stderr = make().run(program)
        assert found == code
        assert f"{program} cannot be started" in stderr

    def test_one_that_closes_every_file_keeps_its_database(self, make: Prepare) -> None:
        program = (
            "import os, sys, time; os.write(1, os.environb[b'SSDB'] + b'\\n'); os.read(0, 1); os.closerange(0, 99); "
        )
        node = make()
        rank = node.start(sys.executable, "-c", program + "time.sleep(60)")
        address = line_of(rank)
        assert rank.stdin is not None
        assert rank.stdout is not None
        rank.stdin.write("x")
        rank.stdin.flush()
        assert rank.stdout.read() == ""  # it is closed
        with database(address) as client:
            assert client.ping()

    def test_a_child_that_it_leaves_behind_keeps_no_database(self, make: Prepare) -> None:
        node = make()
        rank = node.start("sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!")
        left = int(rank.communicate(timeout=DEADLINE)[0])
        node.await_end()
        os.kill(left, signal.SIGKILL)


class TestOneDatabasePerNode:
    def test_fifty_ranks_at_the_same_moment_share_one_until_the_last_has_ended(self, node: Node) -> None:
        ranks = [node.start("sh", "-c", WAIT, ranks=50) for _ in range(50)]
        (address,) = {line_of(rank) for rank in ranks}
        server = node.find("server")
        random.Random(1).shuffle(ranks)  # noqa: S311 - the order is no secret
        for rank in ranks[:-1]:
            rank.communicate("0\n", timeout=DEADLINE)
        assert server.is_running()
        with database(address) as client:
            assert client.info("server")["process_id"] == server.pid
        ranks[-1].communicate("0\n", timeout=DEADLINE)
        node.await_end()

    def test_ranks_that_end_at_once_do_not_end_it_for_the_others(self, node: Node) -> None:
        ranks = [node.start("sh", "-c", "echo $SSDB", ranks=20) for _ in range(20)]
        output = [rank.communicate(timeout=DEADLINE) for rank in ranks]
        assert len({stdout for stdout, _ in output}) == 1
        assert sum("database at" in stderr for _, stderr in output) == 1

    def test_ranks_come_as_late_as_they_like_while_one_runs(self, node: Node) -> None:
        first = node.start("sh", "-c", WAIT)
        address = line_of(first)
        assert node.run("sh", "-c", "echo $SSDB")[1].strip() == address
        first.communicate("\n", timeout=DEADLINE)
        node.await_end()

    def test_runs_do_not_meet(self, make: Prepare) -> None:
        nodes = [make() for _ in range(3)]
        ranks = [node.start("sh", "-c", WAIT) for node in nodes]
        addresses = [line_of(rank) for rank in ranks]
        for address in addresses:
            with database(address) as client:
                assert client.set("key", address)
        for address in addresses:
            with database(address) as client:
                assert client.get("key") == address.encode()

    def test_the_output_of_a_rank_ends_with_the_rank(self, node: Node) -> None:
        first, second = (node.start("sh", "-c", WAIT, ranks=2) for _ in range(2))
        line_of(first)
        line_of(second)
        for rank in (first, second):
            assert rank.communicate("0\n", timeout=DEADLINE)[0] == ""

    def test_nobody_waits_for_ranks_that_cannot_come(self, make: Prepare) -> None:
        node = make()
        node.wait_for_late_ranks(3600)
        node.run("true")
        node.await_end()


KINDS = ["supervisor", "server", "keeper", "worker"]


class TestKilled:
    @pytest.mark.parametrize("kind", KINDS)
    def test_whatever_is_killed_nothing_is_left(self, node: Node, kind: str) -> None:
        ranks = [node.start("sh", "-c", WAIT, ranks=2) for _ in range(2)]
        address = line_of(ranks[0])
        assert line_of(ranks[1]) == address
        wait_until(lambda: any("smartsim.app.worker" in process.cmdline() for process in node.processes()))
        node.find(kind).kill()
        if kind in ("supervisor", "server"):
            wait_until(lambda: len(node.processes()) <= (kind == "server"))
            with database(address) as client, pytest.raises(redis.ConnectionError):
                client.ping()
        else:
            with database(address) as client:
                assert client.ping()
        for rank in ranks:
            assert rank.poll() is None
            rank.communicate("7\n", timeout=DEADLINE)
            assert rank.returncode == 7
        node.await_end()

    def test_a_rank_that_is_killed_has_ended(self, node: Node) -> None:
        first, second = (node.start("sh", "-c", WAIT, ranks=2) for _ in range(2))
        address = line_of(first)
        line_of(second)
        first.kill()
        first.wait(DEADLINE)
        with database(address) as client:
            assert client.ping()
        second.kill()
        node.await_end()

    def test_a_server_that_ended_is_told_of(self, node: Node) -> None:
        rank = node.start("sh", "-c", WAIT, ranks=2)
        line_of(rank)
        node.find("server").kill()
        error = node.directory / f"{socket.gethostname()}.error"
        wait_until(error.exists)
        assert "The database of m on" in error.read_text()
        assert "ended by SIGKILL while its application ran" in error.read_text()
        assert "ended by SIGKILL" in node.run("sh", "-c", "echo never", ranks=2)[2]
        rank.communicate("0\n", timeout=DEADLINE)
        node.await_end()

    def test_ranks_that_were_killed_before_they_came_are_not_waited_for_for_ever(self, node: Node) -> None:
        node.wait_for_late_ranks(1)
        rank = node.start("true", ranks=2)
        rank.communicate(timeout=DEADLINE)
        assert node.processes()
        node.await_end()

    def test_a_job_that_is_ended_waits_for_no_more_ranks(self, node: Node) -> None:
        node.wait_for_late_ranks(3600)
        rank = node.start("sh", "-c", WAIT, ranks=50)
        line_of(rank)
        os.killpg(rank.pid, signal.SIGTERM)
        rank.communicate(timeout=DEADLINE)
        node.await_end()

    @pytest.mark.parametrize("seed", range(8))
    def test_at_any_moment(self, node: Node, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - the moment is no secret
        ranks = [node.start("sleep", str(chance.uniform(0.1, 0.6))) for _ in range(4)]
        time.sleep(chance.uniform(0, 0.4))
        beside = node.processes()
        victim = chance.choice([*(rank.pid for rank in ranks), *(process.pid for process in beside)])
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        for rank in ranks:
            rank.communicate(timeout=DEADLINE)
            assert rank.returncode in (0, 1, -signal.SIGKILL)
        node.await_end()

    def test_a_supervisor_that_is_killed_before_it_is_ready_is_replaced(self, node: Node, temporary: Path) -> None:
        ranks = [node.start("sh", "-c", WAIT, ranks=3) for _ in range(3)]
        wait_until(node.processes)
        for process in node.processes():
            process.kill()
        assert len({line_of(rank) for rank in ranks}) == 1
        for rank in ranks:
            rank.communicate("0\n", timeout=DEADLINE)
        node.await_end()
        for left in temporary.iterdir():
            left.rmdir()  # nobody was left who knew of it; it is empty


def tcp(**options: Any) -> Callable[[Model], None]:
    return lambda model: model.colocate_db_tcp(**options)


def uds(**options: Any) -> Callable[[Model], None]:
    return lambda model: model.colocate_db_uds(**options)


class TestWhatWasAskedFor:
    def test_a_private_socket(self, make: Prepare, temporary: Path) -> None:
        rank = make().start("sh", "-c", WAIT)
        path = Path(line_of(rank).removeprefix("unix://"))
        assert path.parent.parent == temporary
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert path.stat().st_mode & 0o777 == 0o755

    def test_a_socket_of_one_s_own(self, make: Prepare, tmp_path: Path) -> None:
        path = tmp_path / "own.socket"
        node = make(uds(unix_socket=str(path), socket_permissions=700))
        rank = node.start("sh", "-c", WAIT)
        assert line_of(rank) == f"unix://{path}"
        assert path.stat().st_mode & 0o777 == 0o700
        rank.communicate("0\n", timeout=DEADLINE)
        node.await_end()
        assert not path.exists()

    def test_a_port(self, make: Prepare) -> None:
        rank = make(tcp(port=0, db_identifier="near")).start("sh", "-c", 'echo "$SSDB_near"; read line')
        host, _, port = line_of(rank).partition(":")
        assert host == "127.0.0.1"
        with redis.Redis(port=int(port)) as client:
            assert client.ping()

    def test_what_is_left_of_a_socket_is_replaced(self, make: Prepare, tmp_path: Path) -> None:
        path = tmp_path / "own.socket"
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))
        assert make(uds(unix_socket=str(path))).run("sh", "-c", "echo $SSDB")[1] == f"unix://{path}\n"

    def test_the_database_and_the_application_have_cpus_of_their_own(self, make: Prepare) -> None:
        node = make(tcp(port=0, db_cpus=1))
        rank = node.start("sh", "-c", WAIT)
        line_of(rank)
        assert node.find("server").cpu_affinity() == CPUS[:1]
        assert node.find("keeper").cpu_affinity() == CPUS[:1]
        rest = CPUS[1:] or CPUS
        assert psutil.Process(rank.pid).cpu_affinity() == rest
        stderr = rank.communicate("0\n", timeout=DEADLINE)[1]
        assert f"on CPUs {CPUS[0]}; application on CPUs {rest[0]}" in stderr

    def test_cpus_that_are_named(self, make: Prepare) -> None:
        node = make(uds(custom_pinning=[CPUS[-1]]))
        rank = node.start("sh", "-c", WAIT)
        line_of(rank)
        assert node.find("server").cpu_affinity() == CPUS[-1:]
        assert psutil.Process(rank.pid).cpu_affinity() == (CPUS[:-1] or CPUS)

    def test_no_pinning(self, make: Prepare) -> None:
        node = make(uds(custom_pinning=[]))
        rank = node.start("sh", "-c", WAIT)
        line_of(rank)
        assert node.find("server").cpu_affinity() == CPUS
        assert psutil.Process(rank.pid).cpu_affinity() == CPUS
        assert "not pinned" in rank.communicate("0\n", timeout=DEADLINE)[1]

    def test_the_job_has_no_more_cpus_than_its_launcher(self, make: Prepare) -> None:
        node = make(uds(db_cpus=len(CPUS) + 1))
        assert f"db_cpus={len(CPUS) + 1} is more than the {len(CPUS)} CPUs" in node.error("true")

    def test_a_rank_that_is_bound_closer_than_the_job(self, make: Prepare) -> None:
        node = make(uds(db_cpus=1))
        rank = node.start("sh", "-c", WAIT, preexec_fn=lambda: os.sched_setaffinity(0, CPUS[-1:]))
        line_of(rank)
        assert node.find("server").cpu_affinity() == CPUS[:1]
        assert psutil.Process(rank.pid).cpu_affinity() == CPUS[-1:]

    def test_workers_and_server_have_their_options(self, make: Prepare) -> None:
        node = make(uds(threads_per_queue=2, intra_op_threads=3, inter_op_parallelism=4, maxmemory="77mb", debug=True))
        rank = node.start("sh", "-c", WAIT)
        address = line_of(rank)
        wait_until(lambda: any("smartsim.app.worker" in process.cmdline() for process in node.processes()))
        words = node.find("worker").cmdline()
        given = [words[words.index(option) + 1] for option in ("--threads", "--intra-op", "--inter-op")]
        assert given == ["2", "3", "4"]
        with database(address) as client:
            assert client.info("memory")["maxmemory"] == 77 * 1024 * 1024
        assert "Ready to accept connections" in (node.directory.parent / "m-db.log").read_text()

    def test_applications_are_no_administrators(self, make: Prepare) -> None:
        node = make()
        rank = node.start("sh", "-c", WAIT)
        with database(line_of(rank)) as client:
            for command in ("SHUTDOWN", "CONFIG SET maxmemory 1", "ACL LIST", "MODULE LIST"):
                with pytest.raises(redis.exceptions.NoPermissionError):
                    client.execute_command(*command.split())
        for path in node.directory.iterdir():
            assert path.suffix in (".log", ".ready") or path.stat().st_mode & 0o777 == 0o600
        assert node.directory.stat().st_mode & 0o777 == 0o700


class TestRefused:
    def test_a_port_that_is_taken(self, make: Prepare) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            error = make(tcp(port=port)).error("echo", "never")
        assert f"m has no database on {socket.gethostname()}" in error
        assert f"port {port} of 127.0.0.1 is in use" in error

    def test_an_interface_that_is_not_there(self, make: Prepare) -> None:
        assert "no network interface 'ib99'" in make(tcp(port=0, ifname="ib99")).error("echo", "never")

    def test_a_socket_that_is_in_use(self, make: Prepare, tmp_path: Path) -> None:
        path = str(tmp_path / "s")
        first = make(uds(unix_socket=path)).start("sh", "-c", WAIT)
        line_of(first)
        assert f"the unix socket {path} cannot be used" in make(uds(unix_socket=path)).error("echo", "never")
        with database(f"unix://{path}") as client:
            assert client.ping()

    def test_a_socket_of_another_server(self, make: Prepare, tmp_path: Path) -> None:
        path = str(tmp_path / "s")
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(path)
            other.listen()
            assert f"{path} is in use by another server" in make(uds(unix_socket=path)).error("echo", "never")

    def test_a_file_is_not_overwritten(self, make: Prepare, tmp_path: Path) -> None:
        path = tmp_path / "precious"
        path.write_text("data")
        assert "is no socket" in make(uds(unix_socket=str(path))).error("echo", "never")
        assert path.read_text() == "data"

    def test_a_socket_in_no_directory(self, make: Prepare) -> None:
        node = make(uds(unix_socket="/no/such/directory/s"))
        assert "there is no directory /no/such/directory" in node.error("echo", "never")

    def test_cpus_that_the_job_does_not_have(self, make: Prepare) -> None:
        assert "custom_pinning names CPUs that" in make(uds(custom_pinning=[5000])).error("echo", "never")

    def test_options_that_the_server_does_not_know(self, make: Prepare) -> None:
        assert "no_such_option".replace("_", "-") in make(uds(no_such_option=1)).error("echo", "never")

    def test_every_rank_is_told(self, make: Prepare) -> None:
        node = make(uds(custom_pinning=[5000]), run_command="start-ranks")
        ranks = [node.start("echo", "never", ranks=3) for _ in range(3)]
        for rank in ranks:
            stdout, stderr = rank.communicate(timeout=DEADLINE)
            assert (rank.returncode, stdout) == (1, "")
            assert "custom_pinning" in stderr


class TestOtherUsers:
    def test_a_rank_of_another_user_does_not_join(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with listening() as (listener, name), socket.socket(socket.AF_UNIX) as stranger:
            ranks = colocated_supervisor._Ranks(listener, 1, listener.fileno())
            ranks.answer = {"address": "secret"}
            monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
            stranger.connect(name)
            ranks._admit()
            assert stranger.recv(100) == b""
            assert not ranks._alive

    def test_a_rank_does_not_believe_another_user(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with listening() as (_, name):
            monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
            answer = colocated.join({"token": name.removeprefix("\0smartsim-")})
        assert answer == {"error": "another user answers in the place of its supervisor"}


@contextlib.contextmanager
def listening() -> Iterator[tuple[socket.socket, str]]:
    name = f"\0smartsim-{os.urandom(8).hex()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()
        yield listener, name
