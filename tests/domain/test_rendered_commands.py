"""Whatever the settings are, what is rendered says what was meant: it is read back as each launcher reads it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from run_commands import line
from smartsim.domain.settings.aprun import AprunSettings
from smartsim.domain.settings.dragon import DragonRunSettings
from smartsim.domain.settings.flux import FluxRunSettings
from smartsim.domain.settings.jsrun import JsrunSettings
from smartsim.domain.settings.mpi import MpiFlavour, MpirunSettings
from smartsim.domain.settings.pals import PalsMpiexecSettings
from smartsim.domain.settings.ranks import RankSettings
from smartsim.domain.settings.run import RunSettings
from smartsim.domain.settings.srun import SrunSettings
from smartsim.domain.walltime import parse_walltime


class MpichSettings(MpirunSettings):
    """Mpirun of MPICH."""

    flavour = MpiFlavour.MPICH


characters = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
texts = st.text(characters) | st.sampled_from(
    ["a,b", "two words", "it's", '"q"', "$HOME", ":", "-n", "--x=1", "ä;|&", ""]
)
args = st.lists(texts, max_size=4)
variables = st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True), st.none() | texts, max_size=4)
# Names that nothing has a meaning for, so that none is translated or reserved.
names = st.from_regex(r"[g-z]|zz[a-z0-9_-]{1,8}", fullmatch=True).filter(lambda name: name not in ("h", "n", "x"))
# A colon alone parts programs; see below.
options = st.dictionaries(
    names, st.none() | st.integers() | texts.filter(lambda text: text not in ("", ":")), max_size=4
)

CLASSES = [
    SrunSettings,
    AprunSettings,
    MpirunSettings,
    MpichSettings,
    PalsMpiexecSettings,
    JsrunSettings,
    FluxRunSettings,
    DragonRunSettings,
]
COLON_CLASSES = [SrunSettings, AprunSettings, MpirunSettings, MpichSettings, PalsMpiexecSettings]

OWN: Mapping[type[RankSettings], Mapping[str, int]] = {
    SrunSettings: {"--output": 1, "--error": 1, "--open-mode=append": 0, "--job-name": 1, "--export": 1},
    AprunSettings: {"--wdir": 1, "-e": 1},
    MpirunSettings: {"--wdir": 1, "-x": 1},
    MpichSettings: {"-wdir": 1, "-env": 2},
    PalsMpiexecSettings: {"--wdir": 1, "--env": 1, "--envlist": 1},
    JsrunSettings: {"--chdir": 1, "--stdio_stdout": 1, "--stdio_stderr": 1, "-E": 1},
    FluxRunSettings: {"run": 0},
    DragonRunSettings: {},
}
"""The options of settings of their own, and how many words come after each."""


class Reader:
    """Reads options off the beginning of a command line, knowing which take a value, as launchers do."""

    def __init__(self, settings: RankSettings, words: Collection[str]) -> None:
        self.words = list(words)
        self.options: dict[str, str | None] = {}
        self.variables: dict[str, str | None] = {}
        self._own = OWN[type(settings)]
        self._valued = {name for name, value in settings.run_args.items() if value is not None}
        self._separate = isinstance(settings, MpirunSettings | PalsMpiexecSettings)

    def read(self) -> None:
        while self.words and (self.words[0] in self._own or self.words[0].startswith("-")):
            word = self.words.pop(0)
            if word in self._own:
                self._variables(word, [self.words.pop(0) for _ in range(self._own[word])])
            elif word.startswith("--env="):
                self._variables("--env", [word.removeprefix("--env=")])
            elif not word.startswith("--job-name="):
                self._option(word)

    def _option(self, word: str) -> None:
        name = word.lstrip("-")
        if self._separate or len(name) == 1:
            self.options[name] = self.words.pop(0) if name in self._valued else None
        else:
            name, equals, value = name.partition("=")
            self.options[name] = value if equals else None

    def _variables(self, option: str, values: list[str]) -> None:
        if option == "-env":
            self.variables[values[0]] = values[1]
        elif option in ("-e", "-x", "-E", "--env"):
            name, equals, value = values[0].partition("=")
            self.variables[name] = value if equals else None
        elif option == "--envlist":
            self.variables.update(dict.fromkeys(values[0].split(",")))
        elif option == "--export":
            every, *assignments = _unquoted_commas(values[0])
            assert every == "ALL"
            for assignment in assignments:
                name, equals, value = assignment.partition("=")
                self.variables[name] = value if equals else None


def _unquoted_commas(text: str) -> Iterator[str]:
    """Split as srun does: at commas, but for those between quotes, which it does not take as part of a value."""
    assert "'" not in text
    assert '"' not in text
    yield from text.split(",")


def received(settings: RankSettings, variables: Mapping[str, str | None]) -> dict[str, str]:
    """Return the variables that ranks get: those handed over by value, and those that the launcher inherited."""
    inherited = settings.variables()
    return {**inherited, **{name: value for name, value in variables.items() if value is not None}}


def application(words: list[str]) -> list[str]:
    return shlex.split(words[2].removeprefix("exec ")) if words[:2] == ["/bin/sh", "-c"] else words


@pytest.mark.parametrize("settings_class", CLASSES)
@given(args, options, variables)
def test_options_variables_and_words_are_what_was_given(
    settings_class: type[RankSettings], args: list[str], run_args: dict[str, Any], env: dict[str, str | None]
) -> None:
    settings = settings_class("/bin/solver", args, run_args=run_args, env_vars=env)
    command = line(settings)
    words = [*command.launch, *command.argv]
    assert shlex.split(shlex.join(words)) == words

    reader = Reader(settings, command.launch[1:] if settings.run_command else command.launch)
    reader.read()
    assert reader.words == []
    assert reader.options == {name: None if value is None else str(value) for name, value in run_args.items()}
    assert received(settings, reader.variables) == {
        name: value or "" for name, value in env.items() if value is not None or not settings.forwards
    }
    assert application(list(command.argv)) == ["/bin/solver", *args]


@pytest.mark.parametrize("settings_class", COLON_CLASSES)
@given(st.lists(st.tuples(args, options, variables), min_size=1, max_size=3))
def test_several_programs_are_told_apart(settings_class: type[RankSettings], programs: list[Any]) -> None:
    settings = [
        settings_class("/bin/solver", args, run_args=run_args, env_vars=env) for args, run_args, env in programs
    ]
    for another in settings[1:]:
        settings[0].make_mpmd(another)
        assume(settings_class is not MpichSettings or ":" not in another.env_vars.values())
    words = list(line(settings[0]).argv)
    bounds = [-1, *(index for index, word in enumerate(words) if word == ":"), len(words)]
    parts = [words[first + 1 : last] for first, last in pairwise(bounds)]
    assert len(parts) == len(programs)
    assert application(parts[0]) == ["/bin/solver", *programs[0][0]]
    for part, another, (args_of, run_args, env) in zip(parts[1:], settings[1:], programs[1:], strict=True):
        reader = Reader(another, part)
        reader.read()
        assert reader.options == {name: None if value is None else str(value) for name, value in run_args.items()}
        if reader.words[0] == "env":  # what srun would take from its own environment
            reader.words.pop(0)
            while "=" in reader.words[0] and reader.words[0] != "/bin/solver":
                name, _, value = reader.words.pop(0).partition("=")
                reader.variables[name] = value
        assert application(reader.words) == ["/bin/solver", *args_of]
        handed_over = {name: value for name, value in reader.variables.items() if value is not None}
        forwarded = {} if another.forwards else dict.fromkeys(env, "")
        assert handed_over == {**forwarded, **{name: value for name, value in env.items() if value is not None}}


@pytest.mark.parametrize(
    ("settings_class", "given_to"),
    [
        (AprunSettings, {"run_args": {"L": ":"}}),
        (MpirunSettings, {"run_args": {"host": ":"}}),
        (MpichSettings, {"env_vars": {"A": ":"}}),
    ],
)
def test_an_option_of_another_program_that_would_part_programs_is_refused(
    settings_class: type[RankSettings], given_to: dict[str, Any]
) -> None:
    settings = settings_class("/bin/solver")
    settings.make_mpmd(settings_class("/bin/other", **given_to))
    with pytest.raises(ValueError, match="is ':', by which (mpirun|aprun) parts programs"):
        line(settings)


def test_an_option_that_would_part_programs_is_refused() -> None:
    with pytest.raises(ValueError, match="An option or variable of /bin/solver is ':'"):
        line(SrunSettings("/bin/solver", run_args={"C": ":"}))


@given(
    st.lists(
        args.filter(lambda words: not any(end in word for word in words for end in "\r\n")), min_size=2, max_size=4
    )
)
def test_several_programs_of_jsrun_are_a_line_each(programs: list[list[str]]) -> None:
    settings = [JsrunSettings("/bin/solver", args) for args in programs]
    for another in settings[1:]:
        settings[0].make_mpmd(another)
    (content,) = line(settings[0]).files.values()
    lines = [text.partition(" : ") for text in content.decode().split("\n") if text.startswith("app ")]
    assert [name for name, _, _ in lines] == [f"app {index}" for index in range(len(programs))]
    assert [shlex.split(command) for _, _, command in lines] == [["/bin/solver", *args] for args in programs]


@pytest.mark.parametrize("end", ["\n", "\r"])
def test_a_program_of_jsrun_that_would_be_two_lines_is_refused(end: str) -> None:
    settings = JsrunSettings("/bin/solver", [f"a{end}app 1 : rm"])
    settings.make_mpmd(JsrunSettings("/bin/other"))
    with pytest.raises(ValueError, match="cannot be one of several programs of jsrun"):
        line(settings)


def _seconds(settings: RunSettings) -> int:
    (word,) = settings.format_run_args()
    return int(word.partition("=")[2])


READ_WALLTIME: list[tuple[type[RankSettings], Callable[[RunSettings], int]]] = [
    (SrunSettings, lambda settings: parse_walltime(settings.format_run_args()[0].removeprefix("--time="))),
    (AprunSettings, _seconds),
    (MpirunSettings, lambda settings: int(settings.format_run_args()[1])),
    (MpichSettings, lambda settings: int(settings.variables()["MPIEXEC_TIMEOUT"])),
    (FluxRunSettings, lambda settings: int(settings.format_run_args()[0].removeprefix("--time-limit=")[:-1])),
]


@pytest.mark.parametrize(("settings_class", "read"), READ_WALLTIME)
@given(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 10_000))
def test_any_walltime_arrives(
    settings_class: type[RankSettings], read: Callable[[RunSettings], int], hours: int, minutes: int, seconds: int
) -> None:
    settings = settings_class("/bin/solver")
    settings.set_time(hours, minutes, seconds)
    assert read(settings) == hours * 3600 + minutes * 60 + seconds
