"""What a TensorFlow graph may do: compute. Files, the network, Python and other processes are out of its reach."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

_COMPUTING: Final = frozenset(
    """
    AsString Assert Case CheckNumerics CheckNumericsV2 CudnnRNN CudnnRNNV2 CudnnRNNV3 DataFormatDimMap
    DataFormatVecPermute DecodePaddedRaw DecodeRaw DenseToDenseSetOperation DenseToSparseSetOperation DeviceIndex Einsum
    Enter ExtractGlimpse ExtractGlimpseV2 Fingerprint GatherNd GuaranteeConst HashTable HashTableV2 If
    ImageProjectiveTransformV2 ImageProjectiveTransformV3 InitializeTable InitializeTableV2 LookupTableFind
    LookupTableFindV2 LookupTableImport LookupTableImportV2 LookupTableSize LookupTableSizeV2 Multinomial
    ParameterizedTruncatedNormal PartitionedCall PreventGradient Print RaggedTensorToTensor RandomGamma RandomPoisson
    RandomPoissonV2 RandomShuffle RandomStandardNormal RandomUniform RandomUniformInt ReduceJoin RefEnter RegexFullMatch
    RegexReplace ScaleAndTranslate ScatterNd ScatterNdNonAliasingAdd SparseToSparseSetOperation Stack StackClose
    StackCloseV2 StackPop StackPopV2 StackPush StackPushV2 StackV2 StatefulPartitionedCall StatelessRandomGetAlg
    StaticRegexFullMatch StaticRegexReplace StringFormat StringJoin StringLength StringLower StringNGrams StringSplit
    StringSplitV2 StringStrip StringToHashBucket StringToHashBucketFast StringToHashBucketStrong StringToNumber
    StringUpper Substr TensorScatterAdd TensorScatterMax TensorScatterMin TensorScatterSub TensorScatterUpdate
    TruncatedNormal UnicodeDecode UnicodeDecodeWithOffsets UnicodeTranscode UnsortedSegmentJoin While
    _FusedBatchNormEx _FusedConv2D _FusedDepthwiseConv2dNative _FusedMatMul
    """.split()  # noqa: SIM905 - ninety quoted names are harder to read
)
_ARRAYS: Final = "TensorArray"
_NAMES_IN_PROCESS: Final = frozenset({"container", "shared_name"})


def check_operations(definition: Any) -> None:
    """Refuse graphs that may do anything but compute.

    An operation that touches something outside of the graph is one that TensorFlow calls stateful, or it has to be told
    in text what to touch: a path, an address, the name of a Python function. So those are refused, whatever TensorFlow
    adds to them, except the ones known to do no more than compute. Functions are looked into; what is no operation and
    no function TensorFlow refuses by itself.

    Args:
        definition: a `GraphDef`.

    Raises:
        ValueError: there is such an operation; the message names it.
    """
    known = import_module("tensorflow.python.framework.op_def_registry")
    text = import_module("tensorflow.core.framework.types_pb2").DT_STRING
    refused = {}
    for node in _nodes(definition):
        if node.op not in refused:
            operation = known.get(node.op)
            refused[node.op] = operation is not None and not _computes(operation, text)
        if refused[node.op]:
            raise ValueError(
                f"the node {node.name} is a {node.op}, which may reach files, the network or Python: "
                "a model may only compute"
            )


def _nodes(definition: Any) -> Iterator[Any]:
    yield from definition.node
    for function in definition.library.function:
        yield from function.node_def


def _computes(operation: Any, text: int) -> bool:
    if operation.name in _COMPUTING or operation.name.startswith(_ARRAYS):
        return True
    takes_text = any(argument.type == text for argument in operation.input_arg) or any(
        attribute.type in {"string", "list(string)"}
        and not attribute.allowed_values.list.s
        and attribute.name not in _NAMES_IN_PROCESS
        for attribute in operation.attr
    )
    return not (operation.is_stateful or takes_text)
