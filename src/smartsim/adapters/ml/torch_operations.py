"""What TorchScript may call: what computes. Files, Python and other processes are out of its reach."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

_COMPUTING: Final = frozenset(
    {"aten", "prim", "profiler", "quantized", "_quantized", "sparse", "mkldnn", "mkldnn_prepacked", "onednn", "onnx"}
)
"""The libraries of operations that torch has for models. Others are for processes that work together (`c10d`,
`_c10d_functional`, `symm_mem`), change memory unchecked (`inductor`), or come with torch extensions."""

_REACHING: Final = {
    "aten::from_file": "reads and writes files",
    "aten::save": "writes files",
    "prim::PythonOp": "calls Python",
    "prim::IgnoredPythonOp": "calls Python",
    "prim::rpc_async": "calls other processes",
    "prim::rpc_remote": "calls other processes",
    "prim::rpc_sync": "calls other processes",
}
_FILE: Final = re.compile("file|path|dir|url")
_CLASSES: Final = "__torch__.torch.classes."
_COMPUTING_CLASSES: Final = frozenset({"quantized", "rnn", "sparse", "mkldnn", "xnnpack"})
"""Those that hold weights. Of the others, some profile, talk to processes, or load a library (`_nnapi`)."""


def checked_operations(torch: Any, graphs: Iterable[tuple[str, Any]]) -> frozenset[str]:
    """Return the kinds of operations in graphs, ``aten::add`` for one, blocks and subgraphs included.

    Args:
        torch: the module.
        graphs: functions' names and graphs.

    Raises:
        ValueError: one reaches out of the interpreter; the message names it and the function.
    """
    found: dict[str, str] = {}
    for function, graph in graphs:
        for node in _nodes(graph):
            kind = node.kind()
            if kind == "prim::CreateObject":
                _check_class(function, node)
            found.setdefault(kind, function)
    for kind, function in found.items():
        reason = _reason(torch, kind)
        if reason:
            raise ValueError(f"the function {function} calls {kind}, which {reason}: it may only compute")
    return frozenset(found)


def _nodes(graph: Any) -> Iterator[Any]:
    """Yield the nodes of a graph, of blocks in it (branches, loops), and of graphs in it (what is forked)."""
    left = [graph]
    while left:
        for node in left.pop().nodes():
            yield node
            left += node.blocks()
            for name in node.attributeNames():
                if node.kindOf(name) == "g":
                    left.append(node.g(name))
                elif node.kindOf(name) == "gs":
                    left += node.gs(name)


def _reason(torch: Any, kind: str) -> str:
    """Return why an operation is refused; nothing if it is not."""
    if kind in _REACHING:
        return _REACHING[kind]
    if kind.partition("::")[0] not in _COMPUTING:
        return "is of no library for models"
    # What a later torch adds will say it, too: the names of parameters are those of the Python functions.
    for schema in torch._C._jit_get_schemas_for_operator(kind):  # noqa: SLF001 - no public function lists them
        for argument in schema.arguments:
            if "str" in argument.type.annotation_str and _FILE.search(argument.name):
                return f"takes a {argument.name}"
    return ""


def _check_class(function: str, node: Any) -> None:
    name = node.output().type().str()
    if name.startswith(_CLASSES) and name.removeprefix(_CLASSES).partition(".")[0] not in _COMPUTING_CLASSES:
        raise ValueError(f"the function {function} makes a {name.removeprefix('__torch__.')}: it may only compute")
