"""What takes samples for training out of lists of datasets: batches of them, over and over."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from smartsim.app.logs import get_logger
from smartsim.app.training_data import DataInfo, NamedSamples, connect
from smartsim.domain.errors import SSInternalError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from smartsim.app.client.client import Client

    Array: TypeAlias = npt.NDArray[Any]

_FIRST_CAPACITY = 64  # samples that there is room for at first


class DataDownloader(NamedSamples):
    """Gives batches of the samples in a list, over and over.

    Args:
        data_info_or_list_name: what the datasets hold; or the name of the list, beside which that was published.
        batch_size: samples in each batch.
        dynamic: whether samples that came to the list meanwhile are taken, too, when the batches begin anew.
        shuffle: whether the samples are in another order each time.
        cluster: whether the database is a cluster.
        address: of the database, as ``host:port``; by default that which the experiment told this process.
        replica_rank: the number of this process among those that share the datasets of the list, counted from 0.
        num_replicas: how many these are.
        verbose: whether each download is logged.
        init_samples: whether to wait for samples here; otherwise `init_samples` has to be called.
        max_fetch_trials: how often to look for samples; 0 and less for as often as it takes.
        wait_interval: seconds to wait each time, unless samples come before.

    Raises:
        TypeError: `data_info_or_list_name` is neither.
        SSInternalError: there were no samples in the given number of trials.

    Attributes:
        batch_size: see above; so for `dynamic`, `shuffle`, `replica_rank` and `num_replicas`.

    Example:
        >>> for samples, targets in DataDownloader("flow", batch_size=16, cluster=False):  # doctest: +SKIP
        ...     model.train_on_batch(samples, targets)
    """

    def __init__(
        self,
        data_info_or_list_name: str | DataInfo,
        batch_size: int = 32,
        dynamic: bool = True,
        shuffle: bool = True,
        cluster: bool = True,
        address: str | None = None,
        replica_rank: int = 0,
        num_replicas: int = 1,
        verbose: bool = False,
        init_samples: bool = True,
        max_fetch_trials: int = -1,
        wait_interval: float = 10.0,
    ) -> None:
        if not isinstance(data_info_or_list_name, str | DataInfo):
            raise TypeError("data_info_or_list_name must be either DataInfo or str")
        self._cluster = cluster
        self._address = address
        self._client: Client | None = None
        info = data_info_or_list_name
        self._is_told = isinstance(info, DataInfo)
        # Not by `super()`: in generators a class of a framework comes after this one.
        NamedSamples.__init__(self, info if isinstance(info, DataInfo) else DataInfo(info))
        self.batch_size = batch_size
        self.dynamic = dynamic
        self.shuffle = shuffle
        self.verbose = verbose
        self.replica_rank = replica_rank
        self.num_replicas = num_replicas
        self.uploader_keys = [key for key in os.environ.get("SSKEYIN", "").split(",") if key]
        self._next = dict.fromkeys(self.uploader_keys or [""], replica_rank)  # the dataset to take next, by source
        self._samples = _Rows()
        self._targets = _Rows()
        self._order: npt.NDArray[np.intp] | None = None
        if not self._is_told:
            self._info.download(self._connected())
        if init_samples:
            self.init_samples(max_fetch_trials, wait_interval)

    @property
    def client(self) -> Client:
        """The client that samples are downloaded with.

        Raises:
            ValueError: there is none before `init_samples`.
        """
        if self._client is None:
            raise ValueError("Client not initialized: call init_samples first")
        return self._client

    @property
    def autoencoding(self) -> bool:
        """Whether the samples are their own targets."""
        return self.sample_name == self.target_name

    @property
    def need_targets(self) -> bool:
        """Whether datasets have a tensor with targets."""
        return bool(self.target_name) and not self.autoencoding

    @property
    def num_samples(self) -> int:
        """How many samples there are."""
        return len(self._samples)

    def set_replica_parameters(self, replica_rank: int, num_replicas: int) -> None:
        """Say which of several processes that share the datasets this one is; before samples are downloaded.

        Args:
            replica_rank: its number, counted from 0.
            num_replicas: how many there are.
        """
        self.replica_rank = replica_rank
        self.num_replicas = num_replicas
        self._next = dict.fromkeys(self._next, replica_rank)

    def init_samples(self, init_trials: int = -1, wait_interval: float = 10.0) -> None:
        """Wait for samples, and take them.

        Args:
            init_trials: how often to look for them; 0 and less for as often as it takes.
            wait_interval: seconds to wait each time, unless samples come before.

        Raises:
            SSInternalError: there were none in that number of trials.
        """
        self._connected()
        trials = 0
        while not self._download():
            trials += 1
            if trials == init_trials:
                raise SSInternalError(
                    f"Could not download samples in given number of trials: {self.list_name} has none after "
                    f"{init_trials} x {wait_interval} s"
                )
            self._await_datasets(wait_interval)
        self._reorder()

    def update_data(self) -> None:
        """Take what came to the list meanwhile, if `dynamic`, and shuffle the samples, if `shuffle`."""
        if self.dynamic:
            self._download()
        self._reorder()

    def __len__(self) -> int:
        return self.num_samples // self.batch_size

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches: samples and targets, or samples alone where there are none.

        Raises:
            ValueError: there are fewer samples than in one batch.
        """
        self.update_data()
        if not len(self):
            raise ValueError(
                f"Not enough samples in downloader for one batch: {self.num_samples} of {self.batch_size}. Wait for "
                "more, or choose a smaller batch_size"
            )
        for index in range(len(self)):
            yield self.batch(index)

    def batch(self, index: int) -> Any:
        """Return one batch: samples and targets, or samples alone where there are none.

        Args:
            index: of the batch, counted from 0.
        """
        order = self._reorder() if self._order is None else self._order
        chosen = order[index * self.batch_size : (index + 1) * self.batch_size]
        samples = self._samples.rows[chosen]
        if self.autoencoding:
            return samples, samples
        return (samples, self._targets.rows[chosen]) if self.need_targets else samples

    def _connected(self) -> Client:
        if self._client is None:
            self._client = connect(self._cluster, self._address)
        return self._client

    def _choose_source(self, key: str) -> None:
        if key:
            self.client.use_list_ensemble_prefix(use_prefix=True)
            self.client.set_data_source(key)

    def _download(self) -> bool:
        """Take the datasets that this process has not taken; return whether there are any samples."""
        for key, start in self._next.items():
            self._choose_source(key)
            end = self.client.get_list_length(self.list_name)
            mine = list(range(start, end, self.num_replicas))
            for index in mine:
                (dataset,) = self.client.get_dataset_list_range(self.list_name, index, index)
                self._samples.add(dataset.get_tensor(self.sample_name))
                if self.need_targets:
                    self._targets.add(dataset.get_tensor(str(self.target_name)))
            if mine:
                self._next[key] = mine[-1] + self.num_replicas
                if self.verbose:
                    get_logger(__name__).info(
                        f"Took {len(mine)} datasets of {self.list_name}: {self.num_samples} samples"
                    )
        return self.num_samples > 0

    def _await_datasets(self, seconds: float) -> None:
        """Wait for a dataset to take, at most so long; the database tells when it is there."""
        if len(self._next) > 1:
            time.sleep(seconds)  # of several lists any may be the first
            return
        ((key, start),) = self._next.items()
        self._choose_source(key)
        self.client.poll_list_length_gte(self.list_name, start + 1, max(1, round(seconds * 1000)), 1)

    def _reorder(self) -> npt.NDArray[np.intp]:
        import numpy as np

        self._order = np.arange(self.num_samples)
        if self.shuffle:
            np.random.default_rng().shuffle(self._order)
        return self._order


class _Rows:
    """Arrays put one behind the other, along their first dimension, without copying all of them each time."""

    def __init__(self) -> None:
        self._store: Array | None = None
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> Array:
        """All of them."""
        import numpy as np

        return np.empty(0) if self._store is None else self._store[: self._count]

    def add(self, rows: Array) -> None:
        """Put an array behind the others."""
        import numpy as np

        end = self._count + len(rows)
        if self._store is None or end > len(self._store):
            capacity = max(end, 2 * self._count, _FIRST_CAPACITY)
            store = np.empty((capacity, *rows.shape[1:]), rows.dtype)
            store[: self._count] = self.rows if self._count else store[:0]
            self._store = store
        self._store[self._count : end] = rows
        self._count = end


def to_categorical(targets: Array, num_classes: int) -> Array:
    """Return classes as rows with a one in the column of the class.

    Args:
        targets: the classes, shape (n,) or (n, 1).
        num_classes: the number of columns.

    Returns:
        Shape (n, num_classes), float32.
    """
    import numpy as np

    encoded: Array = np.eye(num_classes, dtype=np.float32)[np.asarray(targets, dtype=np.intp).reshape(len(targets))]
    return encoded
