"""Running models and scripts where their inputs are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from smartsim.app.client.calls import SHARDS, Call, check, several, tensor
from smartsim.app.client.programs import key_on
from smartsim.app.client.tensors import key_bytes, tensor_get, tensor_set
from smartsim.domain.addresses import Address
from smartsim.domain.client_errors import RedisInternalError, RedisRuntimeError
from smartsim.domain.slots import key_slot
from smartsim.ports.tensor_store import Command, Shard, Word

_ELSEWHERE: Final = ("NOTLOCAL", "model key is empty", "script key is empty")
"""What a shard says that lacks the keys it was thought to have, since hash slots have moved."""


class Run(NamedTuple):
    """A model, or a function of a script, and what it works on; made with `Run.of`.

    Attributes:
        command: that runs it.
        key: of the model or script.
        function: its name, as the only element; empty for a model.
        inputs: keys of tensors.
        outputs: keys of tensors.
        timeout: in milliseconds.
    """

    command: bytes
    key: str
    function: tuple[bytes, ...]
    inputs: tuple[bytes, ...]
    outputs: tuple[bytes, ...]
    timeout: int

    @classmethod
    def of(
        cls,
        command: str,
        key: str,
        function: tuple[bytes, ...],
        inputs: Sequence[str],
        outputs: Sequence[str],
        timeout: int,
    ) -> Run:
        """Return the run of what has text keys."""
        return cls(
            command.encode(), key, function, tuple(map(key_bytes, inputs)), tuple(map(key_bytes, outputs)), timeout
        )

    def words(self, key: bytes) -> tuple[bytes, ...]:
        """Return the command, for the copy under a key; without its deadline."""
        inputs, outputs = ((b"%d" % len(names), *names) for names in (self.inputs, self.outputs))
        return (self.command, key, *self.function, b"INPUTS", *inputs, b"OUTPUTS", *outputs)

    @property
    def deadline(self) -> tuple[bytes, ...]:
        """The words that say how long it may take."""
        return (b"TIMEOUT", b"%d" % self.timeout)

    @property
    def patience(self) -> float:
        """How long that is, in seconds."""
        return self.timeout / 1000


def run(job: Run) -> Call[None]:
    """Run something; in a cluster, on the shard that has most of its inputs.

    There, what is on other shards goes by way of this process: inputs to that shard, outputs from it. They are never
    stored in between, so that clients cannot get in each other's way. Outputs on one shard are written at one moment.

    Raises:
        RedisRuntimeError: something is missing, or the model fails. Nothing has been written then, unless it is one of
            the outputs that cannot be written where it belongs.
    """
    shards: Sequence[Shard] = yield SHARDS
    try:
        if shards[0].prefix:
            yield from _in_cluster(job, shards)
        else:
            words = (*job.words(key_bytes(job.key)), *job.deadline)
            check((yield [Command(words, patience=job.patience)]))
    except RedisRuntimeError as error:
        inputs, outputs = (b", ".join(names).decode(errors="replace") for names in (job.inputs, job.outputs))
        job_text = f"it was to run {job.key!r} with inputs [{inputs}] and outputs [{outputs}]"
        raise RedisRuntimeError(f"{error.cause} ({job_text})", key=job.key, reply=error.reply) from None


def _in_cluster(job: Run, shards: Sequence[Shard]) -> Call[None]:
    home, local = _home(job, shards)
    try:
        yield from _carry_out(job, key_on(home, job.key), home.address, local)
    except RedisRuntimeError as error:
        if not any(reason in error.reply for reason in _ELSEWHERE):
            raise
        # The first copy leads a stable life: whoever has the first slot has it. Wherever that is now, the command, of
        # which this is the only key, finds its way, and so do the tensors one by one.
        yield from _carry_out(job, key_on(shards[0], job.key), None, frozenset())


def _home(job: Run, shards: Sequence[Shard]) -> tuple[Shard, AbstractSet[bytes]]:
    """Return the shard that has most inputs, the first input's if there are several; and all names that it has."""

    def address_of(name: bytes) -> Address:
        slot = key_slot(name)
        return next(shard.address for shard in shards if slot <= shard.slots[1])

    addresses = {name: address_of(name) for name in (*job.inputs, *job.outputs)}
    counts = Counter(addresses[name] for name in dict.fromkeys(job.inputs or job.outputs))
    address = counts.most_common(1)[0][0] if counts else shards[0].address
    home = next(shard for shard in shards if shard.address == address)
    return home, {name for name, place in addresses.items() if place == address}


def _carry_out(job: Run, key: bytes, address: Address | None, local: AbstractSet[bytes]) -> Call[None]:
    """Run a copy.

    Args:
        job: what to run.
        key: of the copy.
        address: of its shard; None for that which has the key.
        local: names of the inputs and outputs that are there.
    """
    away = [name for name in dict.fromkeys(job.inputs) if name not in local]
    fetched = (yield [tensor_get(name) for name in away]) if away else []
    brought = [tensor_set(name, array) for name, array in zip(away, map(tensor, fetched), strict=True)]
    wanted = [name for name in dict.fromkeys(job.outputs) if name not in local]
    words: list[Word] = [b"AI._DAGLOCAL" if address else b"AI.DAGEXECUTE", b"ROUTING", key, *job.deadline]
    for keyword, names in ((b"LOAD", job.inputs), (b"PERSIST", job.outputs)):
        if listed := [name for name in dict.fromkeys(names) if name in local]:
            words += [keyword, b"%d" % len(listed), *listed]
    operations = [*(command.words for command in brought), job.words(key), *(tensor_get(name).words for name in wanted)]
    for operation in operations:
        words += [b"|>", *operation]
    home = Command(tuple(words), key=None if address else key, shard=address, patience=job.patience)
    (reply,) = yield [home]
    results = several(reply)
    if len(results) != len(operations):
        raise RedisInternalError(f"The database gave {len(results)} replies to {len(operations)} operations")
    if wanted:
        made = zip(wanted, map(tensor, results[-len(wanted) :]), strict=True)
        check((yield [tensor_set(name, array) for name, array in made]))
