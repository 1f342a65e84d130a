"""Starts what fits, when a cluster is back: what the first program that anybody runs would do, too."""

from __future__ import annotations

from collections.abc import Sequence

from clusters.lookalikes.cluster import Cluster


def main(directory: str, _: Sequence[str]) -> int:
    """Look in and leave."""
    with Cluster(directory):
        return 0
