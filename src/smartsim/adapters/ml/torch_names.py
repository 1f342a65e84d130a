"""The names of classes and functions in TorchScript archives, made independent of what was compiled before."""

from __future__ import annotations

import pickletools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Final

_PICKLES: Final = ("data.pkl", "constants.pkl")
_DEFINITION: Final = re.compile(r"^(?:class|def) (\w+).*?(?=^class |^def |\Z)", re.MULTILINE | re.DOTALL)
_CONSTANTS: Final = re.compile(r"(?:^  \w+ : Final\[.*\n)+", re.MULTILINE)
_MANGLE: Final = re.compile(r"\.___torch_mangle_\d+")
_STRING: Final = "BINUNICODE"


def renamed(records: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return an archive's records with the names that a process gets which compiles nothing else.

    Where a process has compiled classes of the same name before, even the same ones, torch tells them apart by a
    number: ``__torch__.torch.nn.modules.container.___torch_mangle_7.Sequential``. Here they are numbered in the order
    in which the model names them; the first has none. Classes and functions are in the file that their name says.

    Args:
        records: contents by name, as the archive has them.
    """
    texts = dict(_definitions(records))
    if not texts:
        return dict(records)
    known = re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, sorted(texts, key=len, reverse=True)))})(?!\w)")
    names = _names(_order(records, texts, known))

    def rename(text: str) -> str:
        return known.sub(lambda match: names[match[0]], text)

    files: dict[str, list[str]] = defaultdict(list)
    for old, new in names.items():
        module, _, _ = new.rpartition(".")
        files[f"code/{module.replace('.', '/')}.py"].append(rename(texts[old]))
    others = {name: content for name, content in records.items() if not _is_code(name)}
    pickles = {name: _rename_pickle(records[name], rename) for name in _PICKLES if name in records}
    return {**others, **pickles, **{name: "".join(files[name]).encode() for name in sorted(files)}}


def _is_code(name: str) -> bool:
    return name.startswith("code/") and name.endswith(".py")


def _definitions(records: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """Yield the full names of classes and functions, and their code."""
    for name, content in records.items():
        if _is_code(name):
            module = name.removeprefix("code/").removesuffix(".py").replace("/", ".")
            for match in _DEFINITION.finditer(content.decode()):
                # Torch writes constants as Python's set of their names has them: each process otherwise.
                yield f"{module}.{match[1]}", _CONSTANTS.sub(_sorted, f"{match[0].rstrip()}\n")


def _sorted(lines: re.Match[str]) -> str:
    return "".join(sorted(lines[0].splitlines(keepends=True)))


def _order(records: Mapping[str, bytes], texts: Mapping[str, str], known: re.Pattern[str]) -> list[str]:
    """Return all names in the order in which the objects, and the code of what was named, have them."""
    found: dict[str, None] = {}
    for name in _PICKLES:
        for operation, argument, _ in pickletools.genops(records.get(name, b".")):
            if operation.name in {"GLOBAL", _STRING}:
                found.update(dict.fromkeys(known.findall(str(argument).replace(" ", "."))))
    left = list(found)
    for name in left:
        new = [other for other in dict.fromkeys(known.findall(texts[name])) if other not in found]
        found.update(dict.fromkeys(new))
        left += new
    return [*left, *(name for name in texts if name not in found)]


def _names(order: list[str]) -> dict[str, str]:
    """Return new names by the old ones."""
    taken: Counter[str] = Counter()
    names = {}
    for old in order:
        plain = _MANGLE.sub("", old)
        module, _, name = plain.rpartition(".")
        names[old] = f"{module}.___torch_mangle_{taken[plain] - 1}.{name}" if taken[plain] else plain
        taken[plain] += 1
    return names


def _rename_pickle(pickled: bytes, rename: Callable[[str], str]) -> bytes:
    """Rename what the instructions of a pickle name: classes, and types in strings."""
    operations = list(pickletools.genops(pickled))
    positions = [position or 0 for _, _, position in operations]
    written = []
    for (operation, argument, _), begin, end in zip(operations, positions, [*positions[1:], len(pickled)], strict=True):
        new = pickled[begin:end]
        if operation.name == "GLOBAL":
            module, _, name = rename(str(argument).replace(" ", ".")).rpartition(".")
            new = f"c{module}\n{name}\n".encode()
        elif operation.name == _STRING and rename(str(argument)) != argument:
            text = rename(str(argument)).encode()
            new = b"X" + len(text).to_bytes(4, "little") + text
        written.append(new)
    return b"".join(written)
