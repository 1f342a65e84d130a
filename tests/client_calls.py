"""Every call of a client, with what it comes to: for clients that make them in different ways."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import ml_models
from smartsim.client import Dataset, RedisReplyError

if TYPE_CHECKING:
    from torch import Tensor

X = np.arange(8, dtype=np.float32).reshape(2, 4)
NAMES = [f"tensor_{number}" for number in range(6)]  # on all shards
LISTED = [f"step_{number}" for number in range(100)]
BLOB = ml_models.affine("TORCH").blob
SCRIPT = "def double(x):\n    return 2 * x\n"


def negative(x: Tensor) -> Tensor:
    return -x


class Refused(NamedTuple):
    """That a call raises.

    Attributes:
        pattern: of what the error says.
    """

    pattern: str


class Step(NamedTuple):
    """A call.

    Attributes:
        name: of the method.
        arguments: for it.
        expected: what it returns, in plain values; what is in it, when it is a set; or `Refused`.
    """

    name: str
    arguments: tuple[Any, ...]
    expected: Any = None

    def check(self, result: Any) -> None:
        """Look at what came of it."""
        said = f"{self.name}{self.arguments!r:.200} -> {result!r:.2000}"
        if isinstance(self.expected, Refused):
            assert isinstance(result, RedisReplyError), said
            assert re.search(self.expected.pattern, str(result)), said
        elif isinstance(result, RedisReplyError):
            raise result
        elif isinstance(self.expected, set):
            assert self.expected <= _parts(result), said
        else:
            assert plain(result) == self.expected, said


class Stage(NamedTuple):
    """Calls that do not depend on one another.

    Attributes:
        steps: the calls.
        in_order: whether what follows may only begin when the one before is done, nevertheless.
    """

    steps: list[Step]
    in_order: bool = False


def plain(result: Any) -> Any:
    if isinstance(result, np.ndarray):
        return result.tolist()
    if isinstance(result, Dataset):
        return dataset_content(result.get_name(), result.get_tensor("t")[0], result.get_meta_strings("kind"))
    return [plain(part) for part in result] if isinstance(result, list) else result


def _parts(result: Any) -> set[Any]:
    """Return what is in some lists and dictionaries, down to what is none."""
    if isinstance(result, dict):
        return {word for item in result.items() for part in item for word in _parts(part)}
    return {word for part in result for word in _parts(part)} if isinstance(result, list) else {result}


def dataset(name: str, value: float = 1.0) -> Dataset:
    made = Dataset(name)
    made.add_tensor("t", np.full(3, value))
    made.add_meta_string("kind", "test")
    return made


def dataset_content(name: str, value: float = 1.0, kinds: Sequence[str] = ("test",)) -> tuple[str, float, list[str]]:
    return name, value, list(kinds)


def storing() -> list[Stage]:
    """Store tensors, bytes, datasets and a list, on all shards."""
    first = [Step("put_tensor", (name, X + number)) for number, name in enumerate(NAMES)]
    first += [Step("put_bytes", (f"bytes_{number}", b"%d" % number)) for number in range(6)]
    first += [Step("put_dataset", (dataset(name, number),)) for number, name in enumerate(LISTED)]
    return [Stage(first), Stage([Step("append_to_list", ("steps", dataset(name))) for name in LISTED], in_order=True)]


def storing_programs(directory: Path) -> list[Stage]:
    """Store models and scripts."""
    (directory / "model.pt").write_bytes(BLOB)
    (directory / "script.py").write_text(SCRIPT)
    model, script = str(directory / "model.pt"), str(directory / "script.py")
    no_gpu = Refused("no worker serves the device GPU:0")
    steps = [
        Step("set_model_chunk_size", (535_822_336,)),
        Step("set_model", ("m", BLOB, "TORCH")),
        Step("set_model_from_file", ("from file", model, "TORCH", "CPU")),
        Step("set_model_multigpu", ("g", BLOB, "TORCH", 0, 2), no_gpu),
        Step("set_model_from_file_multigpu", ("g", model, "TORCH", 0, 2), no_gpu),
        Step("set_script", ("s", SCRIPT)),
        Step("set_script_from_file", ("s from file", script)),
        Step("set_function", ("f", negative)),
        Step("set_script_multigpu", ("g", SCRIPT, 0, 2), no_gpu),
        Step("set_script_from_file_multigpu", ("g", script, 0, 2), no_gpu),
        Step("set_function_multigpu", ("g", negative, 0, 2), no_gpu),
    ]
    return [Stage(steps)]


def reading() -> list[Stage]:
    """Read what `storing` has stored, and wait for it."""
    steps = [Step("get_tensor", (name,), (X + number).tolist()) for number, name in enumerate(NAMES)]
    steps += [Step("tensor_exists", (name,), True) for name in NAMES]
    steps += [Step("get_bytes", (f"bytes_{number}",), b"%d" % number) for number in range(6)]
    steps += [Step("get_dataset", (name,), dataset_content(name, number)) for number, name in enumerate(LISTED[:6])]
    listed = [dataset_content(name, number) for number, name in enumerate(LISTED)]
    steps += [
        Step("key_exists", ("bytes_0",), True),
        Step("dataset_exists", (LISTED[0],), True),
        Step("dataset_exists", ("absent",), False),
        Step("get_tensor", ("absent",), Refused("get_tensor execution failed\n.*'absent'")),
        Step("get_dataset", ("absent",), Refused("no dataset '{absent}'")),
        Step("get_list_length", ("steps",), 100),
        Step("get_datasets_from_list", ("steps",), listed),
        Step("get_dataset_list_range", ("steps", 10, -11), listed[10:-10]),
        Step("poll_tensor", (NAMES[0], 100, 100), True),
        Step("poll_key", ("bytes_1", 100, 100), True),
        Step("poll_key", ("absent", 1, 2), False),
        Step("poll_dataset", (LISTED[1], 100, 100), True),
        Step("poll_list_length", ("steps", 100, 100, 100), True),
        Step("poll_list_length_gte", ("steps", 99, 100, 100), True),
        Step("poll_list_length_lte", ("steps", 101, 100, 100), True),
    ]
    return [Stage(steps)]


def reading_programs() -> list[Stage]:
    """Read what `storing_programs` has stored."""
    steps = [
        Step("get_model", ("m",), BLOB),
        Step("get_model", ("from file",), BLOB),
        Step("model_exists", ("m",), True),
        Step("model_exists", ("g",), False),
        Step("poll_model", ("m", 100, 100), True),
        Step("get_script", ("s",), SCRIPT),
        Step("get_script", ("s from file",), SCRIPT),
    ]
    return [Stage(steps)]


def running() -> list[Stage]:
    """Run models and scripts on tensors of all shards."""
    runs, reads = [], []
    for number, name in enumerate(NAMES):
        runs += [
            Step("run_model", ("m", [name], [f"{name}_y"])),
            Step("run_script", ("s", "double", [name], [f"{name}_double"])),
            Step("run_script", ("f", "negative", [name], [f"{name}_negative"])),
        ]
        x = X + number
        results = (("y", 2 * x + 1), ("double", 2 * x), ("negative", -x))
        reads += [Step("get_tensor", (f"{name}_{kind}",), y.tolist()) for kind, y in results]
    no_model, no_script = Refused("model key is empty"), Refused("script key is empty")
    runs += [
        Step("run_model", ("m", ["absent"], ["z"]), Refused("'m' with inputs")),
        Step("run_model_multigpu", ("g", 1, 0, 2, [NAMES[0]], ["z"]), no_model),
        Step("run_script_multigpu", ("g", "double", [NAMES[0]], ["z"], 1, 0, 2), no_script),
    ]
    return [Stage(runs), Stage(reads)]


def changing() -> list[Stage]:
    """Copy and rename to other shards, and delete."""
    copies = [Step("copy_tensor", (name, f"copy of {name}")) for name in NAMES]
    copies += [Step("copy_dataset", (name, f"copy of {name}")) for name in LISTED[:6]]
    copies += [Step("copy_list", ("steps", f"steps_{number}")) for number in range(4)]
    renames = [Step("rename_tensor", (f"copy of {name}", f"{name} again")) for name in NAMES]
    renames += [Step("rename_dataset", (f"copy of {name}", f"{name} again")) for name in LISTED[:6]]
    renames += [Step("rename_list", (f"steps_{number}", f"again_{number}")) for number in range(4)]
    reads = [Step("get_tensor", (f"{name} again",), (X + number).tolist()) for number, name in enumerate(NAMES)]
    reads += [Step("tensor_exists", (f"copy of {name}",), False) for name in NAMES]
    for number, name in enumerate(LISTED[:6]):
        reads += [
            Step("get_dataset", (f"{name} again",), dataset_content(f"{name} again", number)),
            Step("dataset_exists", (f"copy of {name}",), False),
        ]
    for number in range(4):
        reads += [
            Step("get_list_length", (f"again_{number}",), 100),
            Step("get_list_length", (f"steps_{number}",), 0),
        ]
    deletes = [Step("delete_tensor", (f"{name} again",)) for name in NAMES]
    deletes += [Step("delete_dataset", (f"{name} again",)) for name in LISTED[:6]]
    deletes += [Step("delete_list", (f"again_{number}",)) for number in range(4)]
    gone = [Step("tensor_exists", (f"{name} again",), False) for name in NAMES]
    gone += [Step("dataset_exists", (f"{name} again",), False) for name in LISTED[:6]]
    gone += [Step("get_list_length", (f"again_{number}",), 0) for number in range(4)]
    emptied = [Step("delete_list", ("steps",))]
    return [Stage(copies), Stage(renames), Stage(reads), Stage(deletes), Stage(gone), Stage(emptied)]


def administration(addresses: list[str]) -> list[Stage]:
    """Ask the shards about themselves."""
    ports = {address.rpartition(":")[2] for address in addresses}
    steps = [
        Step("get_db_node_info", (addresses,), {"tcp_port", *ports}),
        Step("get_db_cluster_info", (addresses,), {"cluster_state", "ok"}),
        Step("get_ai_info", (addresses, "m"), {"MODEL", "TORCH", "m"}),
        Step("config_set", ("latency-monitor-threshold", "17", addresses[1])),
        Step("config_get", ("latency-monitor-t*", addresses[1]), {"latency-monitor-threshold": "17"}),
        Step("save", (addresses,)),
    ]
    return [Stage(steps, in_order=True)]


def deleting_programs() -> list[Stage]:
    """Delete models and scripts."""
    no_model, no_script = Refused("model key is empty"), Refused("script key is empty")
    deletes = [
        Step("delete_model", ("m",)),
        Step("delete_model", ("from file",)),
        Step("delete_model_multigpu", ("g", 0, 2), no_model),
        Step("delete_script", ("s",)),
        Step("delete_script", ("s from file",)),
        Step("delete_script", ("f",)),
        Step("delete_script_multigpu", ("g", 0, 2), no_script),
    ]
    gone = [
        Step("model_exists", ("m",), False),
        Step("get_model", ("m",), no_model),
        Step("get_script", ("s",), no_script),
        Step("run_model", ("m", [NAMES[0]], ["z"]), no_model),
    ]
    return [Stage(deletes), Stage(gone)]


def everything(directory: Path, addresses: list[str]) -> list[Stage]:
    """Make every call."""
    begin = [*storing(), *storing_programs(directory), *reading(), *reading_programs(), *running()]
    end = [*changing(), *administration(addresses), *deleting_programs()]
    return [*begin, *end, Stage([Step("flush_db", (addresses,))])]
