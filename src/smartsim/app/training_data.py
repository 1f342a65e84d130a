"""Samples for training, from applications that make them to processes that learn from them, through lists of datasets.

An uploader appends a dataset with a batch of samples to a list; downloaders read the list, and what is appended to it
while they run. What the tensors are called is told by a dataset beside the list, `DataInfo`.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, TypeAlias

from smartsim.app.logs import get_logger
from smartsim.domain.client_errors import RedisReplyError

if TYPE_CHECKING:
    import numpy.typing as npt

    from smartsim.app.client.client import Client

    Array: TypeAlias = npt.NDArray[Any]

_TOKEN_BYTES = 4


def form_name(*args: object) -> str:
    """Return words joined by underscores; None is left out.

    Example:
        >>> form_name("training_samples", None, 3)
        'training_samples_3'
    """
    return "_".join(str(arg) for arg in args if arg is not None)


class DataInfo:
    """What the datasets of a list hold.

    Args:
        list_name: the aggregation list.
        sample_name: the tensor with the samples.
        target_name: the tensor with their targets; None or empty when there are none. The name of the samples when they
            are their own targets, as those of an autoencoder are.
        num_classes: into how many classes samples fall, whose targets are the classes; None when they are no classes.
    """

    def __init__(
        self,
        list_name: str,
        sample_name: str = "samples",
        target_name: str | None = "targets",
        num_classes: int | None = None,
    ) -> None:
        self.list_name = list_name
        self.sample_name = sample_name
        self.target_name = target_name
        self.num_classes = num_classes

    @property
    def dataset_name(self) -> str:
        """The name of the dataset that tells it."""
        return form_name(self.list_name, "info")

    def publish(self, client: Client) -> None:
        """Put it into the database.

        Args:
            client: of the database.
        """
        from smartsim.app.client.dataset import Dataset

        dataset = Dataset(self.dataset_name)
        dataset.add_meta_string("sample_name", self.sample_name)
        if self.target_name:
            dataset.add_meta_string("target_name", self.target_name)
        if self.num_classes:
            dataset.add_meta_scalar("num_classes", self.num_classes)
        client.put_dataset(dataset)

    def download(self, client: Client) -> None:
        """Take it from the database; what is not told there stays as it is.

        Args:
            client: of the database.
        """
        try:
            dataset = client.get_dataset(self.dataset_name)
        except RedisReplyError:
            get_logger(__name__).error(f"Info could not be downloaded: there is no dataset {self.dataset_name}")
            return
        names = dataset.get_metadata_field_names()
        self.sample_name = dataset.get_meta_strings("sample_name")[0]
        self.target_name = dataset.get_meta_strings("target_name")[0] if "target_name" in names else None
        self.num_classes = int(dataset.get_meta_scalars("num_classes")[0]) if "num_classes" in names else None

    def __repr__(self) -> str:
        lines = [
            "DataInfo object",
            f"Aggregation list name: {self.list_name}",
            f"Sample tensor name: {self.sample_name}",
        ]
        if self.target_name:
            lines.append(f"Target tensor name: {self.target_name}")
        if self.num_classes:
            lines.append(f"Number of classes: {self.num_classes}")
        return "\n".join(lines)


class NamedSamples:
    """Tells where samples are, and what they are called.

    Args:
        info: says that.
    """

    def __init__(self, info: DataInfo) -> None:
        self._info = info

    @property
    def list_name(self) -> str:
        """The aggregation list."""
        return self._info.list_name

    @property
    def sample_name(self) -> str:
        """The tensor with the samples."""
        return self._info.sample_name

    @property
    def target_name(self) -> str | None:
        """The tensor with their targets."""
        return self._info.target_name

    @property
    def num_classes(self) -> int | None:
        """Into how many classes samples fall; None when targets are no classes."""
        return self._info.num_classes


class TrainingDataUploader(NamedSamples):
    """Puts batches of samples into a list.

    Args:
        list_name: the aggregation list.
        sample_name: the tensor with the samples.
        target_name: the tensor with their targets.
        num_classes: into how many classes samples fall; None when targets are no classes.
        cluster: whether the database is a cluster.
        address: of the database, as ``host:port``; by default that which the experiment told this process.
        rank: of this process among those that upload; part of the names of its datasets.
        verbose: whether each batch is logged.

    Raises:
        ValueError: a name is empty.

    Example:
        >>> uploader = TrainingDataUploader("flow", cluster=False)  # doctest: +SKIP
        >>> uploader.publish_info()  # doctest: +SKIP
        >>> uploader.put_batch(np.random.rand(32, 128), np.random.rand(32, 4))  # doctest: +SKIP
    """

    def __init__(
        self,
        list_name: str = "training_data",
        sample_name: str = "samples",
        target_name: str | None = "targets",
        num_classes: int | None = None,
        cluster: bool = True,
        address: str | None = None,
        rank: int | None = None,
        verbose: bool = False,
    ) -> None:
        if not list_name:
            raise ValueError("Name can not be empty")
        if not sample_name:
            raise ValueError("Sample name can not be empty")
        super().__init__(DataInfo(list_name, sample_name, target_name, num_classes))
        self._rank = rank
        self._verbose = verbose
        self._count = 0
        # Another uploader, or this one started again, is not to write over what is in the list.
        self._token = secrets.token_hex(_TOKEN_BYTES)
        self.client = connect(cluster, address)

    def publish_info(self) -> None:
        """Tell downloaders what the tensors are called."""
        self._info.publish(self.client)

    def put_batch(self, samples: Array, targets: Array | None = None) -> None:
        """Append a batch to the list.

        Args:
            samples: their first dimension counts them.
            targets: of the samples, in the same order; without a name for targets they are left out.
        """
        from smartsim.app.client.dataset import Dataset

        dataset = Dataset(form_name(self.list_name, "samples", self._rank, self._token, self._count))
        dataset.add_tensor(self.sample_name, samples)
        if targets is not None and self.target_name and self.target_name != self.sample_name:
            dataset.add_tensor(self.target_name, targets)
        self.client.put_dataset(dataset)
        self.client.append_to_list(self.list_name, dataset)
        if self._verbose:
            get_logger(__name__).info(f"Put batch {self._count} of {len(samples)} samples into {self.list_name}")
        self._count += 1


def connect(cluster: bool, address: str | None) -> Client:
    """Return a client of the database that samples go through.

    Args:
        cluster: whether the database is a cluster.
        address: of the database; None for that which the experiment told this process.
    """
    from smartsim.app.client.client import Client

    return Client(cluster=cluster, address=address)
