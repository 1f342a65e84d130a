"""The names under which clients keep things in a database, with the prefixes that part ensemble members.

A client writes under its own prefix (`SSKEYOUT`) and reads under that of its data source (one of `SSKEYIN`). The scheme
is that of every SmartRedis client, so that clients in all languages find each other's data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Prefixes:
    """The prefixes of one client, and for which kinds of names they are in use.

    Attributes:
        destination: prefix of what is written; empty for none.
        sources: the prefixes that may be read from.
        source: the one read from at the moment; empty for none.
        tensors: whether names of tensors are prefixed.
        datasets: whether names of datasets are.
        lists: whether names of lists are.
        models: whether names of models and scripts are.

    Example:
        >>> prefixes = Prefixes.parse("sim_0,sim_1", "analysis")
        >>> prefixes.tensor_to_read("field"), prefixes.tensor_to_write("mean")
        ('sim_0.field', 'analysis.mean')
        >>> prefixes.reading_from("sim_1").tensor_to_read("field")
        'sim_1.field'
    """

    destination: str = ""
    sources: tuple[str, ...] = ()
    source: str = ""
    tensors: bool = True
    datasets: bool = True
    lists: bool = True
    models: bool = False

    @classmethod
    def parse(cls, key_in: str, key_out: str) -> Prefixes:
        """Return the prefixes that `SSKEYIN` (parted by commas; the first is read from) and `SSKEYOUT` ask for."""
        sources = tuple(source for source in key_in.split(",") if source)
        return cls(destination=key_out, sources=sources, source=sources[0] if sources else "")

    def reading_from(self, source: str) -> Prefixes:
        """Return the same prefixes with another data source.

        Raises:
            LookupError: when it is not among the sources.
        """
        if source not in self.sources:
            known = ", ".join(map(repr, self.sources)) or "none (SSKEYIN is not set)"
            raise LookupError(f"{source!r} is not a data source of this client: it has {known}")
        return replace(self, source=source)

    def tensor_to_read(self, name: str) -> str:
        """Return the key of a tensor to be read, copied from, renamed or deleted."""
        return _prefixed(self.source, self.tensors, name)

    def tensor_to_write(self, name: str) -> str:
        """Return the key of a tensor to be written."""
        return _prefixed(self.destination, self.tensors, name)

    def dataset_to_read(self, name: str) -> str:
        """Return the stem of the keys of a dataset to be read; in braces, so that all its keys share one shard."""
        return _prefixed(self.source, self.datasets, f"{{{name}}}")

    def dataset_to_write(self, name: str) -> str:
        """Return the stem of the keys of a dataset to be written."""
        return _prefixed(self.destination, self.datasets, f"{{{name}}}")

    def list_to_read(self, name: str) -> str:
        """Return the key of a list of datasets to be read."""
        return _prefixed(self.source, self.lists, name)

    def list_to_write(self, name: str) -> str:
        """Return the key of a list of datasets to be written."""
        return _prefixed(self.destination, self.lists, name)

    def model_to_read(self, name: str) -> str:
        """Return the key of a model or script to be read, run or deleted."""
        return _prefixed(self.source, self.models, name)

    def model_to_write(self, name: str) -> str:
        """Return the key of a model or script to be stored."""
        return _prefixed(self.destination, self.models, name)


def _prefixed(prefix: str, in_use: bool, name: str) -> str:
    return f"{prefix}.{name}" if prefix and in_use else name
