"""Samples of a list of datasets, for loops of torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader as TorchDataLoader
from torch.utils.data import IterableDataset, get_worker_info

from smartsim.app.training_samples import DataDownloader


class _Generator(DataDownloader, IterableDataset[Any]):
    """Batches as tensors of torch; samples are waited for by `init_samples`, in the process that uses them."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "init_samples": False})

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches: samples and targets, or samples alone where there are none."""
        for batch in super().__iter__():
            yield tuple(map(torch.from_numpy, batch)) if isinstance(batch, tuple) else torch.from_numpy(batch)


class StaticDataGenerator(_Generator):
    """The samples that are there when it is first used; arguments are those of `smartsim.ml.DataDownloader`, by name.

    Example:
        ::

            generator = StaticDataGenerator(data_info_or_list_name="flow", batch_size=16, cluster=False)
            for samples, targets in DataLoader(generator, batch_size=None, num_workers=2):
                ...
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dynamic": False})


class DynamicDataGenerator(_Generator):
    """Those, and each time also the samples that came meanwhile; otherwise as `StaticDataGenerator`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dynamic": True})


class DataLoader(TorchDataLoader[Any]):
    """A `torch.utils.data.DataLoader` whose workers share the datasets of a generator.

    Args:
        dataset: a `StaticDataGenerator` or `DynamicDataGenerator`, which makes batches itself: use ``batch_size=None``.
        **kwargs: for torch's; ``num_workers`` is at least 1.
    """

    def __init__(self, dataset: _Generator, **kwargs: Any) -> None:
        super().__init__(dataset, worker_init_fn=_start_worker, persistent_workers=True, **kwargs)

    def __len__(self) -> int:
        """Refuse: only the workers know how many batches their samples make.

        Raises:
            TypeError: always.
        """
        raise TypeError("a DataLoader of samples from the database has no length: its workers alone know it")


def _start_worker(worker: int) -> None:
    """Have a worker take its part of the datasets."""
    info: Any = get_worker_info()
    generator: _Generator = info.dataset
    rank, replicas = generator.replica_rank, generator.num_replicas
    generator.set_replica_parameters(rank * info.num_workers + worker, replicas * info.num_workers)
    generator.init_samples()
