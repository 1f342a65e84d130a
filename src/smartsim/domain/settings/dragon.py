"""Process groups of Dragon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from smartsim.domain.settings import values
from smartsim.domain.settings.command import StepPlace
from smartsim.domain.settings.ranks import RankSettings
from smartsim.domain.settings.run_resources import ResourceOptions


class DragonRunSettings(RankSettings):
    """An executable that a server of Dragon starts, on nodes of an allocation or on this machine.

    No program is run for it: the options stand before the application's command for the server to be told.

    Example:
        >>> settings = DragonRunSettings("solver")
        >>> settings.set_nodes(2)
        >>> settings.set_cpu_affinity([0, 1])
        >>> settings.format_run_args()
        ['--nodes=2', '--cpu-affinity=0,1']
    """

    ranks: ClassVar[str] = "dragon"
    forwards: ClassVar[bool] = False
    options: ClassVar[Mapping[str, str]] = {
        "nodes": "nodes",
        "tasks_per_node": "tasks-per-node",
        "node_feature": "node-feature",
    }
    resource_options: ClassVar[ResourceOptions] = ResourceOptions(nodes=("nodes",), tasks_per_node=("tasks-per-node",))

    def set_node_feature(self, feature_list: str | list[str]) -> None:
        """Set the features that the nodes must have: a list, or text with blanks between them."""
        features = feature_list.split() if isinstance(feature_list, str) else feature_list
        super().set_node_feature(features)

    def set_cpu_affinity(self, devices: list[int]) -> None:
        """Set the CPUs of each node that the tasks may run on, numbered from 0.

        Raises:
            TypeError: it is no list of integers.
            ValueError: one is negative.
        """
        self.run_args["cpu-affinity"] = _devices("a CPU", devices)

    def set_gpu_affinity(self, devices: list[int]) -> None:
        """Set the GPUs of each node that the tasks may use, numbered from 0.

        Raises:
            TypeError: it is no list of integers.
            ValueError: one is negative.
        """
        self.run_args["gpu-affinity"] = _devices("a GPU", devices)

    def _environment_words(self) -> list[str]:
        return []

    def _place_words(self, place: StepPlace) -> list[str]:
        del place
        return []


def _devices(what: str, devices: object) -> str:
    if not isinstance(devices, list):
        raise TypeError(f"the affinity must be a list of int, not {devices!r}")
    return ",".join(map(str, values.indices(what, devices)))
