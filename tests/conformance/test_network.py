"""What every network does."""

import socket

import pytest

from smartsim.adapters.network.system import SystemNetwork
from smartsim.adapters.network.virtual import VirtualNetwork
from smartsim.ports.network import Network


@pytest.fixture(params=[SystemNetwork, VirtualNetwork])
def network(request: pytest.FixtureRequest) -> Network:
    made: Network = request.param()
    return made


def test_loopback_is_among_the_interfaces(network: Network) -> None:
    assert network.interfaces()["lo"] == "127.0.0.1"


def test_a_machine_has_a_name(network: Network) -> None:
    assert network.hostname()


def test_a_free_port_is_free(network: Network) -> None:
    port = network.free_port("127.0.0.1")
    assert 0 < port < 65536
    assert network.port_is_free("127.0.0.1", port)


def test_an_address_of_another_machine_has_no_free_ports(network: Network) -> None:
    assert not network.port_is_free("192.0.2.1", 50000)


def test_a_port_that_something_listens_on_is_not_free() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert not SystemNetwork().port_is_free("127.0.0.1", port)
        assert not VirtualNetwork(ports_in_use=[("127.0.0.1", port)]).port_is_free("127.0.0.1", port)
