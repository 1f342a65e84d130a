"""Datasets."""

from __future__ import annotations

from smartsim.app.client import datasets, waiting
from smartsim.app.client.calls import Call
from smartsim.app.client.dataset import Dataset
from smartsim.app.client.interface.naming import Naming, key
from smartsim.domain.client_errors import check_type


class DatasetInterface(Naming):
    """Calls about datasets."""

    def put_dataset(self, dataset: Dataset, ttl: float | None = None) -> Call[None]:
        """Store a dataset under its name, replacing what was there.

        Who reads at the same time gets the old one or the new one, whole.

        Args:
            dataset: with at least one tensor or field of metadata.
            ttl: after so many seconds the database forgets it; never, when None.

        Raises:
            RedisRuntimeError: it is empty, or the database refuses.

        Example:
            >>> dataset = Dataset("step_10")
            >>> dataset.add_tensor("pressure", np.ones((64, 64)))
            >>> dataset.add_meta_scalar("time", 0.1)
            >>> client.put_dataset(dataset)  # doctest: +SKIP
        """
        check_type(dataset, "dataset", Dataset)
        return datasets.put_dataset(key(self.prefixes.dataset_to_write, dataset.get_name()), dataset, ttl)

    def get_dataset(self, name: str) -> Call[Dataset]:
        """Return the dataset under a name.

        Raises:
            RedisKeyError: there is none.

        Example:
            >>> client.get_dataset("step_10").get_tensor("pressure")  # doctest: +SKIP
        """
        return datasets.get_dataset(key(self.prefixes.dataset_to_read, name), name)

    def delete_dataset(self, name: str) -> Call[None]:
        """Remove a dataset.

        Raises:
            RedisRuntimeError: there is none.
        """
        return datasets.delete_dataset(key(self.prefixes.dataset_to_read, name))

    def copy_dataset(self, src_name: str, dest_name: str) -> Call[None]:
        """Store a dataset under another name, too.

        Args:
            src_name: read under the prefix of the data source.
            dest_name: written under the prefix of this client.

        Raises:
            RedisKeyError: there is no such dataset.
        """
        source = key(self.prefixes.dataset_to_read, src_name, "src_name")
        return datasets.copy_dataset(source, key(self.prefixes.dataset_to_write, dest_name, "dest_name"))

    def rename_dataset(self, old_name: str, new_name: str) -> Call[None]:
        """Give a dataset another name.

        Args:
            old_name: read under the prefix of the data source.
            new_name: written under the prefix of this client.

        Raises:
            RedisKeyError: there is no such dataset.
        """
        old = key(self.prefixes.dataset_to_read, old_name, "old_name")
        return datasets.rename_dataset(old, key(self.prefixes.dataset_to_write, new_name, "new_name"))

    def dataset_exists(self, name: str) -> Call[bool]:
        """Return whether there is a complete dataset of that name, under the prefix of the data source."""
        return datasets.dataset_exists(key(self.prefixes.dataset_to_read, name))

    def poll_dataset(self, name: str, poll_frequency_ms: int, num_tries: int) -> Call[bool]:
        """Wait until there is a complete dataset of a name; otherwise as `poll_tensor`."""
        return waiting.poll_dataset(key(self.prefixes.dataset_to_read, name), poll_frequency_ms, num_tries)
