"""TorchScript archives: what is in them, before and after torch reads them."""

from __future__ import annotations

import io
import pickletools
import zipfile
from collections.abc import Collection
from contextlib import suppress
from typing import Any, Final

from smartsim.adapters.ml.torch_operations import checked_operations

_CLASS: Final = "__torch__."
_CLASS_OF_TORCH: Final = "__torch__.torch.classes."
_RUN_AT_LOAD: Final = "__setstate__"


def load_checked(torch: Any, blob: bytes, device: str) -> tuple[Any, frozenset[str]]:
    """Load a module that does nothing but compute.

    Args:
        torch: the module.
        blob: what `torch.jit.save` wrote.
        device: where its tensors go, as torch calls it.

    Returns:
        The module, and the kinds of operations in it.

    Raises:
        ValueError: it does something else; see `checked_operations`.
        RuntimeError: this is no such archive.
    """
    # Read as torch does it: another reader could be made to see something else.
    reader = torch._C.PyTorchFileReader(io.BytesIO(blob))  # noqa: SLF001 - see above
    names = reader.get_all_records()
    if "model.json" in names:
        raise ValueError("it was saved by a torch before 1.4: save it again")
    code = [name for name in names if name.startswith("code/") and name.endswith(".py")]
    if any(_RUN_AT_LOAD.encode() in reader.get_record(name) for name in code):
        _check_first(torch, reader, code)
    # As `torch.jit.load` does it, which keeps to itself where all functions are.
    unit = torch._C.CompilationUnit()  # noqa: SLF001 - see above
    module = torch.jit._recursive.wrap_cpp_module(_imported(torch, unit, blob, device))  # noqa: SLF001 - see above
    return module, _operations(torch, unit)


def _imported(torch: Any, unit: Any, blob: bytes, device: str) -> Any:
    restore_shapes = False
    place = torch.device(device)
    return torch._C.import_ir_module_from_buffer(unit, blob, place, {}, restore_shapes)  # noqa: SLF001 - see above


def _operations(torch: Any, unit: Any) -> frozenset[str]:
    return checked_operations(torch, ((function.qualified_name, function.graph) for function in unit.get_functions()))


def _check_first(torch: Any, reader: Any, code: Collection[str]) -> None:
    """Check a module before loading it, as loading runs code of it: compile that code beside a list of its classes."""
    if _classes(reader.get_record("constants.pkl")):
        raise ValueError(f"constants of a module with {_RUN_AT_LOAD} may not be objects")
    # Compiled are those that are named, in this order, and what they use. Up to what does not compile, if anything:
    # loading ends there, too.
    classes = b"".join(
        b"c%s\n%s\n" % (module.encode(), name.encode()) for module, name in _classes(reader.get_record("data.pkl"))
    )
    bare = io.BytesIO()
    with zipfile.ZipFile(bare, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02(" + classes + b"t.")
        for name in reader.get_all_records():
            if name in code or name.startswith("constants") or name in {"version", "byteorder"}:
                archive.writestr(f"archive/{name}", reader.get_record(name))
    unit = torch._C.CompilationUnit()  # noqa: SLF001 - see above
    with suppress(RuntimeError):  # a list of classes is no module
        _imported(torch, unit, bare.getvalue(), "cpu")
    _operations(torch, unit)


def _classes(pickled: bytes) -> list[tuple[str, str]]:
    """Return modules and names of those classes whose code is in the archive that a pickle names."""
    found = []
    for operation, argument, _ in pickletools.genops(pickled):
        if operation.name == "GLOBAL":
            module, _, name = str(argument).rpartition(" ")
            if f"{module}.".startswith(_CLASS) and not f"{module}.".startswith(_CLASS_OF_TORCH):
                found.append((module, name))
    return found
