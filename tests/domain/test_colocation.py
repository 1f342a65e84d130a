from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain.colocation import (
    colocated_settings,
    local_ranks,
    pinning_text,
    tcp_connection,
    unix_connection,
)
from smartsim.domain.errors import SSUnsupportedError

cpus = st.integers(min_value=0, max_value=300)


class TestPinning:
    @given(st.lists(cpus | st.lists(cpus) | st.builds(range, cpus, cpus), min_size=1), st.integers(1, 64))
    def test_every_cpu_stands_once_in_ascending_order(self, custom: list[Any], count: int) -> None:
        chosen = {cpu for item in custom for cpu in ([item] if isinstance(item, int) else item)}
        text = pinning_text(custom, count)
        assert ([] if text is None else [int(cpu) for cpu in text.split(",")]) == sorted(chosen)

    def test_numbers_are_sorted_as_numbers(self) -> None:
        assert pinning_text([10, 9, 2], 3) == "2,9,10"

    @given(st.integers(1, 300))
    def test_by_default_the_first_cpus_are_taken(self, count: int) -> None:
        text = pinning_text(None, count)
        assert text is not None
        assert [int(cpu) for cpu in text.split(",")] == list(range(count))

    @pytest.mark.parametrize("empty", [[], (), [[]], range(0)])
    def test_nothing_means_no_pinning(self, empty: Any) -> None:
        assert pinning_text(empty, 4) is None

    @pytest.mark.parametrize("custom", [3, ["a"], [1.5], ["1"], [[1, "2"]], "0-3", [True], [None]])
    def test_what_is_no_cpu_is_refused(self, custom: Any) -> None:
        with pytest.raises(TypeError, match="custom_pinning"):
            pinning_text(custom, 4)

    @pytest.mark.parametrize("custom", [[-1], [[0, -1]], [range(-2, 2)]])
    def test_cpus_are_numbered_from_0(self, custom: Any) -> None:
        with pytest.raises(ValueError, match="custom_pinning must be at least 0"):
            pinning_text(custom, 4)


class TestConnections:
    def test_tcp(self) -> None:
        interfaces = ["hsn0", "hsn1"]
        settings = tcp_connection(6780, interfaces)
        interfaces.append("changed")
        assert settings == {"port": 6780, "ifname": ["hsn0", "hsn1"]}
        assert tcp_connection(6780, "lo") == {"port": 6780, "ifname": "lo"}

    @pytest.mark.parametrize(
        ("port", "ifname", "error"),
        [
            (-1, "lo", ValueError),
            (65536, "lo", ValueError),
            ("6379", "lo", TypeError),
            (6379, 3, TypeError),
            (6379, [], TypeError),
            (6379, [""], TypeError),
        ],
    )
    def test_what_nothing_can_listen_on_is_refused(self, port: Any, ifname: Any, error: type[Exception]) -> None:
        with pytest.raises(error, match="port|ifname"):
            tcp_connection(port, ifname)

    def test_unix(self) -> None:
        assert unix_connection("/run/user/1000/db.socket", 700) == {
            "unix_socket": "/run/user/1000/db.socket",
            "socket_permissions": 700,
            "port": 0,
        }

    def test_by_default_the_node_chooses(self) -> None:
        assert unix_connection(None, 755) == {"unix_socket": None, "socket_permissions": 755, "port": 0}
        assert tcp_connection(0, "lo")["port"] == 0

    @pytest.mark.parametrize(
        ("path", "words"),
        [("db.socket", "not absolute"), ("/tmp/a,b", "','"), ("/" + "x" * 107, "has 108 characters")],
    )
    def test_a_socket_that_cannot_be_is_refused(self, path: str, words: str) -> None:
        with pytest.raises(ValueError, match=words):
            unix_connection(path, 755)
        assert unix_connection("/" + "x" * 106, 755)["port"] == 0

    @pytest.mark.parametrize("path", ["", "/tmp/a b", "/tmp/a\n", "/tmp/a;b", "/tmp/é", "/tmp/$HOME"])
    def test_a_socket_that_clients_do_not_accept_is_refused(self, path: str) -> None:
        with pytest.raises(ValueError, match="Invalid name for unix socket"):
            unix_connection(path, 755)

    @pytest.mark.parametrize("permissions", [0o755 * 10, 888, 75, -1])
    def test_permissions_are_octal_digits(self, permissions: int) -> None:
        with pytest.raises(ValueError, match="socket_permissions"):
            unix_connection("/tmp/db", permissions)


def settings(**options: Any) -> dict[str, Any]:
    return colocated_settings({"port": 1}, 2, None, debug=False, db_identifier="", options=options)


def test_everything_that_was_asked_for_is_in_the_settings() -> None:
    assert settings(threads_per_queue=4, maxclients=100, save="") == {
        "port": 1,
        "cpus": 2,
        "custom_pinning": "0,1",
        "default_pinning": True,
        "debug": False,
        "db_identifier": "",
        "rai_args": {"threads_per_queue": 4, "inter_op_parallelism": None, "intra_op_parallelism": None},
        "extra_db_args": {"maxclients": "100", "save": ""},
    }


@pytest.mark.parametrize("kind", ["inter_op", "intra_op"])
def test_both_spellings_of_the_workers_threads_are_understood(kind: str) -> None:
    old, new = settings(**{f"{kind}_parallelism": 3}), settings(**{f"{kind}_threads": 3})
    assert old == new
    assert old["rai_args"][f"{kind}_parallelism"] == 3
    assert old["extra_db_args"] == {}


def test_two_spellings_that_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match="intra_op_threads=3 contradicts intra_op_parallelism=2"):
        settings(intra_op_threads=3, intra_op_parallelism=2)
    assert settings(intra_op_threads=3, intra_op_parallelism=3)["rai_args"]["intra_op_parallelism"] == 3


@pytest.mark.parametrize(("threads", "error"), [(0, ValueError), ("2", TypeError), (1.5, TypeError)])
def test_threads_are_counted(threads: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="inter_op_threads"):
        settings(inter_op_threads=threads)


def test_the_cpus_of_the_application_are_set_elsewhere() -> None:
    with pytest.raises(SSUnsupportedError, match="set_cpu_bindings"):
        settings(limit_app_cpus=True)


@pytest.mark.parametrize(("db_cpus", "error"), [(0, ValueError), ("2", TypeError)])
def test_a_database_needs_a_cpu(db_cpus: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="db_cpus"):
        colocated_settings({}, db_cpus, None, debug=False, db_identifier="", options={})


def test_an_identifier_becomes_part_of_a_variable() -> None:
    with pytest.raises(ValueError, match="ends the name of a variable"):
        colocated_settings({}, 1, None, debug=False, db_identifier="a=b", options={})


@pytest.mark.parametrize(
    ("option", "instead"),
    [("port", "port"), ("bind", "ifname"), ("unixsocket", "colocate_db_uds"), ("CLUSTER_ENABLED", "create_database")],
)
def test_options_that_have_an_argument_of_their_own_are_refused(option: str, instead: str) -> None:
    with pytest.raises(ValueError, match=f"{option} cannot be given .* use {instead}"):
        settings(**{option: "x"})


class TestLocalRanks:
    @pytest.mark.parametrize("name", ["OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "PALS_LOCAL_SIZE"])
    def test_mpi_launchers_say_it(self, name: str) -> None:
        assert local_ranks({name: "12", "SLURM_STEP_TASKS_PER_NODE": "1", "SLURM_NODEID": "0"}) == 12

    @given(st.lists(st.tuples(st.integers(1, 200), st.integers(1, 5)), min_size=1), st.data())
    def test_srun_says_it_for_all_nodes(self, groups: list[tuple[int, int]], data: st.DataObject) -> None:
        counts = [tasks for tasks, nodes in groups for _ in range(nodes)]
        node = data.draw(st.integers(0, len(counts) - 1))
        text = ",".join(f"{tasks}(x{nodes})" if nodes > 1 else str(tasks) for tasks, nodes in groups)
        environment = {"SLURM_STEP_TASKS_PER_NODE": text, "SLURM_NODEID": str(node)}
        assert local_ranks(environment) == counts[node]

    @pytest.mark.parametrize(
        "environment",
        [
            {},
            {"OMPI_COMM_WORLD_LOCAL_SIZE": "many"},
            {"SLURM_STEP_TASKS_PER_NODE": "4"},
            {"SLURM_STEP_TASKS_PER_NODE": "4", "SLURM_NODEID": "1"},
        ],
    )
    def test_otherwise_nobody_knows(self, environment: dict[str, str]) -> None:
        assert local_ranks(environment) is None
