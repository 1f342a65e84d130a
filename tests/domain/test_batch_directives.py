"""Whatever the settings: each directive, read as its scheduler reads it, gives back what was meant."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import directive_readers as read
from smartsim.domain.settings import values
from smartsim.domain.settings.batch import BatchSettings, unquoted
from smartsim.domain.settings.batch_flux import FluxBatchSettings
from smartsim.domain.settings.bsub import BsubBatchSettings
from smartsim.domain.settings.cobalt import CobaltBatchSettings
from smartsim.domain.settings.qsub import QsubBatchSettings
from smartsim.domain.settings.sbatch import SbatchSettings
from smartsim.domain.settings.sge import SgeQsubBatchSettings

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,12}", fullmatch=True)
PIECES = st.sampled_from(
    ["a", "b1", " ", "\t", '"', "'", "\\", "#", ":", ",", "=", "&", "$", ";", "[", "(", "*", "~", "`"]
)
TEXTS = st.one_of(
    st.lists(PIECES, min_size=1, max_size=4).map("".join),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20),
)
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters="\"'#,\\"), min_size=1)
VALUES = st.one_of(TEXTS, st.integers(-10, 10**6), st.just(0), st.none())


def options(settings: type[BatchSettings], values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(NAMES.filter(lambda name: name not in settings.reserved_batch_args), values, max_size=5)


def meant(name: str, value: values.Option, *, dashes: int) -> list[str]:
    """Return an option as words of a command line: a long one in one word if it has two dashes."""
    text = None if value is None else unquoted(str(value))
    if dashes == 1 or len(name) == 1:
        return [f"-{name}"] if text is None else [f"-{name}", text]
    return [f"--{name}"] if text is None else [f"--{name}={text}"]


@given(options(SbatchSettings, VALUES))
@example({"p": ":x", "q": "a#b"})
def test_slurm(batch_args: dict[str, values.Option]) -> None:
    directives = SbatchSettings(batch_args=batch_args).directives()
    assert [read.slurm(line) for line in directives] == [meant(*item, dashes=2) for item in batch_args.items()]


@given(options(FluxBatchSettings, VALUES))
def test_flux(batch_args: dict[str, values.Option]) -> None:
    directives = FluxBatchSettings(batch_args=batch_args).directives()
    assert [read.flux(line) for line in directives] == [meant(*item, dashes=2) for item in batch_args.items()]


@given(options(CobaltBatchSettings, st.one_of(WORDS, st.none(), st.integers())))
def test_cobalt(batch_args: dict[str, values.Option]) -> None:
    batch_args = {"t": 10, **batch_args, "n": 1}
    directives = CobaltBatchSettings(batch_args=batch_args).directives()
    assert [read.cobalt(line) for line in directives] == [meant(*item, dashes=2) for item in batch_args.items()]


@given(options(BsubBatchSettings, VALUES))
@example({"J": "a'b\""})
def test_lsf(batch_args: dict[str, values.Option]) -> None:
    settings = BsubBatchSettings(batch_args=batch_args)
    if any('"' in text and "'" in text for text in (unquoted(str(value)) for value in batch_args.values())):
        with pytest.raises(ValueError, match="both kinds of quotes"):
            settings.directives()
    else:
        assert [read.lsf(line) for line in settings.directives()] == [
            meant(*item, dashes=1) for item in batch_args.items()
        ]


@given(
    options(QsubBatchSettings, VALUES.filter(lambda value: value is not None)),
    st.dictionaries(NAMES.filter(lambda name: name not in ("select", "nodes")), VALUES.filter(lambda v: v is not None)),
)
def test_pbs(batch_args: dict[str, values.Option], resources: dict[str, Any]) -> None:
    settings = QsubBatchSettings(nodes=1, resources=resources, batch_args=batch_args)
    if any('"' in text and "'" in text for text in map(str, resources.values())):
        with pytest.raises(ValueError, match="both kinds of quotes"):
            settings.directives()
        return
    words = [read.pbs(line) for line in settings.directives()]
    asked = {
        name: value for option, text in words[: len(resources) + 1] for name, value in read.pbs_resources(text).items()
    }
    assert asked == {"nodes": "1"} | {name: str(value) for name, value in resources.items()}
    assert words[len(resources) + 1 :] == [meant(*item, dashes=1) for item in batch_args.items()]


SGE_TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="\"'#,"), min_size=1)


@given(
    options(SgeQsubBatchSettings, st.one_of(SGE_TEXTS, st.integers())),
    st.dictionaries(NAMES, st.one_of(SGE_TEXTS, st.integers())),
    st.lists(st.tuples(st.sampled_from(["ac", "sc"]), NAMES, st.one_of(SGE_TEXTS, st.none()))),
)
def test_grid_engine(
    batch_args: dict[str, values.Option], resources: dict[str, Any], context: list[tuple[str, str, str | None]]
) -> None:
    settings = SgeQsubBatchSettings(resources=resources, batch_args=batch_args)
    for action, name, value in context:
        settings.update_context_variables(action, name, value)
    assert [read.sge(line) for line in settings.directives()] == [
        *([f"-{action}", name if value is None else f"{name}={value}"] for action, name, value in context),
        *(["-l", f"{name}={value}"] for name, value in resources.items()),
        *(meant(*item, dashes=1) for item in batch_args.items()),
    ]


@given(st.sampled_from("\"'#"), SGE_TEXTS)
def test_grid_engine_has_no_way_to_say_some_things(character: str, text: str) -> None:
    with pytest.raises(ValueError, match="no quotes and no '#'"):
        SgeQsubBatchSettings(resources={"x": text + character}).directives()


SETTINGS = [
    SbatchSettings(),
    QsubBatchSettings(nodes=1),
    BsubBatchSettings(),
    SgeQsubBatchSettings(),
    CobaltBatchSettings(1, "1:00:00"),
    FluxBatchSettings(),
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.scheduler)
@pytest.mark.parametrize("end", ["\n", "\r", "\0"])
def test_no_directive_is_more_than_a_line(settings: BatchSettings, end: str) -> None:
    twin = settings.copy()
    twin.batch_args["x"] = f"a{end}rm -rf /"
    with pytest.raises(ValueError, match="more than one line"):
        twin.directives()


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.scheduler)
@pytest.mark.parametrize("name", ["", "--", "a b", "a\nb", "a=b", "a;b", "é"])
def test_no_option_has_such_a_name(settings: BatchSettings, name: str) -> None:
    twin = settings.copy()
    twin.batch_args[name] = "1"
    with pytest.raises(ValueError, match="is no name of an option"):
        twin.directives()


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.scheduler)
def test_options_may_come_with_their_dashes(settings: BatchSettings) -> None:
    plain, dashed = settings.copy(), settings.copy()
    plain.batch_args["x"] = 1
    dashed.batch_args["-x"] = 1
    assert plain.directives() == dashed.directives()
