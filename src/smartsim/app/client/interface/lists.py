"""Lists of datasets."""

from __future__ import annotations

from collections.abc import Callable

from smartsim.app.client import lists, waiting
from smartsim.app.client.calls import Call
from smartsim.app.client.dataset import Dataset
from smartsim.app.client.interface.naming import Naming, key
from smartsim.domain.client_errors import check_type


class ListInterface(Naming):
    """Calls about lists of datasets.

    A list holds the names of datasets; what is under those names is looked up when the list is read.
    """

    def append_to_list(self, list_name: str, dataset: Dataset) -> Call[None]:
        """Add a dataset to the end of a list, which is made when it is not there.

        Args:
            list_name: written under the prefix of this client.
            dataset: one that `put_dataset` stores, before or afterwards.

        Example:
            >>> client.put_dataset(dataset)  # doctest: +SKIP
            >>> client.append_to_list("steps", dataset)  # doctest: +SKIP
        """
        check_type(dataset, "dataset", Dataset)
        stem = key(self.prefixes.dataset_to_write, dataset.get_name())
        return lists.append_to_list(_list(self.prefixes.list_to_write, list_name), stem)

    def delete_list(self, list_name: str) -> Call[None]:
        """Remove a list, not its datasets; nothing happens when there is none of that name."""
        return lists.delete_list(_list(self.prefixes.list_to_read, list_name))

    def copy_list(self, src_name: str, dest_name: str) -> Call[None]:
        """Keep the entries of a list under another name, too, replacing what was there.

        Raises:
            RedisRuntimeError: there is no such list.
            ValueError: a name is empty.
        """
        source = _list(self.prefixes.list_to_read, src_name, "src_name")
        return lists.copy_list(source, _list(self.prefixes.list_to_write, dest_name, "dest_name"))

    def rename_list(self, src_name: str, dest_name: str) -> Call[None]:
        """Give a list another name.

        Raises:
            RedisRuntimeError: there is no such list.
            ValueError: a name is empty.
        """
        source = _list(self.prefixes.list_to_read, src_name, "src_name")
        return lists.rename_list(source, _list(self.prefixes.list_to_write, dest_name, "dest_name"))

    def get_list_length(self, list_name: str) -> Call[int]:
        """Return how many entries a list has; 0 when there is none of that name."""
        return lists.get_list_length(_list(self.prefixes.list_to_read, list_name))

    def poll_list_length(self, name: str, list_length: int, poll_frequency_ms: int, num_tries: int) -> Call[bool]:
        """Wait until a list has a given number of entries, for ``poll_frequency_ms * num_tries`` ms at most.

        Returns:
            Whether it came to that.

        Raises:
            ValueError: a number is negative.
        """
        listed = _list(self.prefixes.list_to_read, name, "name")
        return waiting.poll_list_length(listed, list_length, poll_frequency_ms, num_tries)

    def poll_list_length_gte(self, name: str, list_length: int, poll_frequency_ms: int, num_tries: int) -> Call[bool]:
        """Wait until a list has at least a given number of entries; otherwise as `poll_list_length`."""
        listed = _list(self.prefixes.list_to_read, name, "name")
        return waiting.poll_list_length_gte(listed, list_length, poll_frequency_ms, num_tries)

    def poll_list_length_lte(self, name: str, list_length: int, poll_frequency_ms: int, num_tries: int) -> Call[bool]:
        """Wait until a list has at most a given number of entries; otherwise as `poll_list_length`."""
        listed = _list(self.prefixes.list_to_read, name, "name")
        return waiting.poll_list_length_lte(listed, list_length, poll_frequency_ms, num_tries)

    def get_datasets_from_list(self, list_name: str) -> Call[list[Dataset]]:
        """Return the datasets of a list, in its order, in a few round trips whatever their number.

        Returns:
            The datasets; none when there is no such list.

        Raises:
            RedisKeyError: one of them is not there.
            ValueError: the name is empty.

        Example:
            >>> for dataset in client.get_datasets_from_list("steps"):  # doctest: +SKIP
            ...     print(dataset.get_meta_scalars("time"))
        """
        return lists.get_datasets_from_list(_list(self.prefixes.list_to_read, list_name))

    def get_dataset_list_range(self, list_name: str, start_index: int, end_index: int) -> Call[list[Dataset]]:
        """Return some of the datasets of a list.

        Args:
            list_name: read under the prefix of the data source.
            start_index: of the first; negative ones count from the end, -1 being the last.
            end_index: of the last, which is among them.

        Raises:
            RedisKeyError: one of them is not there.
            ValueError: the name is empty.
        """
        listed = _list(self.prefixes.list_to_read, list_name)
        return lists.get_dataset_list_range(listed, start_index, end_index)


def _list(prefixed: Callable[[str], str], name: str, argument: str = "list_name") -> str:
    check_type(name, argument, str)
    if not name:
        raise ValueError(f"Argument {argument} is empty: give the name of a list")
    return prefixed(name)
