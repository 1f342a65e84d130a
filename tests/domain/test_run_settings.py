from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from run_commands import line
from smartsim.domain.settings.container import Singularity
from smartsim.domain.settings.run import RunSettings

words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
names = words.filter(lambda name: name and "=" not in name)


class Told(RunSettings):
    """Settings that remember what they told their user."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.warnings: list[str] = []
        self.informed: list[str] = []

    def _warn(self, message: str) -> None:
        self.warnings.append(message)

    def _inform(self, message: str) -> None:
        self.informed.append(message)


class ExampleLauncher(Told):
    """A launcher's settings as a later one will be: a table, reserved options, and its own way to write them down."""

    reserved_run_args: ClassVar[set[str]] = {"chdir"}
    options: ClassVar[Mapping[str, str]] = {
        "nodes": "nodes",
        "tasks": "ntasks",
        "tasks_per_node": "ntasks-per-node",
        "task_map": "distribution",
        "cpus_per_task": "cpus-per-task",
        "hostlist": "nodelist",
        "hostlist_from_file": "nodefile",
        "excluded_hosts": "exclude",
        "cpu_bindings": "cpu_bind",
        "memory_per_node": "mem",
        "verbose_launch": "verbose",
        "quiet_launch": "quiet",
        "broadcast": "bcast",
        "node_feature": "C",
        "binding": "bind",
        "walltime": "time",
    }

    def format_run_args(self) -> list[str]:
        return [f"--{name}" if value is None else f"--{name}={value}" for name, value in self.run_args.items()]


class TestCommandLine:
    @given(words.filter(bool), st.lists(words))
    def test_the_application_gets_exactly_the_words_it_was_given(self, exe: str, args: list[str]) -> None:
        assert line(RunSettings(exe, args)).argv == (exe, *args)

    @given(st.lists(words), st.lists(words))
    def test_added_arguments_come_after_and_are_never_joined_or_split(self, first: list[str], then: list[str]) -> None:
        settings = RunSettings("solver", first)
        settings.add_exe_args(then)
        assert settings.exe_args == [*first, *then]

    @given(st.lists(st.text("abc-='\"\\", min_size=1)))
    def test_a_string_of_arguments_is_split_at_blanks_and_nowhere_else(self, args: list[str]) -> None:
        assert RunSettings("solver", "  ".join(args)).exe_args == args

    def test_what_the_shell_would_understand_means_nothing(self) -> None:
        args = ["-c", "echo one | tr a b; exit 3", "$HOME", "*", "a\nb", "naïve", ""]
        assert line(RunSettings("/bin/bash", args)).argv == ("/bin/bash", *args)

    @pytest.mark.parametrize("args", [5, [5], ("a", "b"), {"a": "b"}, [["a"]], b"a"])
    def test_other_arguments_are_refused(self, args: Any) -> None:
        with pytest.raises(TypeError, match="Executable arguments were not a list of str or a str"):
            RunSettings("solver", args)

    def test_an_argument_that_no_program_can_be_given_is_refused(self) -> None:
        with pytest.raises(ValueError, match="null character"):
            RunSettings("solver", ["a\0b"])

    @pytest.mark.parametrize("exe", [None, 3, ["solver"]])
    def test_the_executable_is_a_string(self, exe: Any) -> None:
        with pytest.raises(TypeError, match="exe must be a str"):
            RunSettings(exe)

    def test_an_empty_executable_is_refused(self) -> None:
        with pytest.raises(ValueError, match="exe is empty"):
            RunSettings("")

    def test_a_container_stands_before_the_executable(self) -> None:
        settings = RunSettings("solver", ["two words"], container=Singularity("image.sif"))
        settings.container_program = "/usr/bin/apptainer"
        assert line(settings).argv == (
            "/usr/bin/apptainer", "exec", "--pwd", "/exp/m", "--bind", "/exp/m", "image.sif", "solver", "two words",
        )  # fmt: skip

    def test_what_wraps_the_application_stands_before_all_of_it(self) -> None:
        settings = RunSettings("solver", ["a"], "launch", {"-n": 2}, container=Singularity("image.sif"))
        command = line(settings, ("supervise", "--db"))
        assert command.launch == ("launch", "-n", "2")
        assert command.argv[:4] == ("supervise", "--db", "singularity", "exec")
        assert command.argv[-3:] == ("image.sif", "solver", "a")

    def test_a_container_is_a_container(self) -> None:
        image: Any = "image.sif"
        with pytest.raises(TypeError, match="container must be a Container"):
            RunSettings("solver", container=image)


class TestRunCommand:
    @given(st.dictionaries(words, st.none() | words | st.integers()))
    def test_its_options_stand_as_they_were_given(self, run_args: dict[str, Any]) -> None:
        settings = RunSettings("solver", run_command="my-launcher", run_args=run_args)
        expected = [word for name, value in run_args.items() for word in (name, str(value))]
        assert line(settings).launch == ("my-launcher", *expected)

    @pytest.mark.parametrize("run_command", ["", None, "  "])
    def test_without_one_its_options_are_not_given_to_the_application(self, run_command: str | None) -> None:
        settings = RunSettings("solver", run_command=run_command, run_args={"--nodes": 2})
        assert settings.run_command is None
        assert line(settings).launch == ()
        assert line(settings).argv == ("solver",)

    @pytest.mark.parametrize("run_args", [["--nodes"], {3: "a"}, {"a": ["b"]}, "--nodes"])
    def test_other_options_are_refused(self, run_args: Any) -> None:
        with pytest.raises(TypeError, match="run_args"):
            RunSettings("solver", run_args=run_args)

    def test_a_subclass_writes_them_its_own_way(self) -> None:
        settings = ExampleLauncher("solver", run_command="launch", run_args={"exclusive": None, "nice": 0})
        assert line(settings).launch == ("launch", "--exclusive", "--nice=0")


class TestSet:
    @pytest.mark.parametrize("spelled", ["partition", "-partition", "--partition", "  --partition "])
    def test_blanks_and_dashes_do_not_matter(self, spelled: str) -> None:
        settings = RunSettings("solver", run_command="my-launcher")
        settings.set(spelled, "debug")
        assert settings.run_args == {"partition": "debug"}

    def test_an_unknown_run_command_gets_the_name_as_it_was_spelled(self) -> None:
        settings = RunSettings("solver", run_command="my-launcher", run_args={"--np": 2})
        settings.set("--np", "4")
        settings.set("-host", "node1")
        assert line(settings).launch == ("my-launcher", "--np", "4", "-host", "node1")

    def test_a_false_condition_changes_nothing_and_says_so(self) -> None:
        settings = Told("solver")
        settings.set("partition", "debug", condition=False)
        assert settings.run_args == {}
        assert settings.informed == ["Could not set argument 'partition': condition not met"]

    def test_a_reserved_option_is_left_alone_and_that_is_said(self) -> None:
        settings = ExampleLauncher("solver")
        settings.set("--chdir", "/elsewhere")
        assert settings.run_args == {}
        assert "'chdir': it is reserved" in settings.warnings[0]

    def test_a_new_value_replaces_the_old_one_and_that_is_said(self) -> None:
        settings = Told("solver", run_args={"partition": "debug"})
        settings.set("partition", "debug")
        assert settings.warnings == []
        settings.set("partition", "long")
        assert settings.run_args == {"partition": "long"}
        assert settings.warnings == ["Overwriting argument 'partition' with value 'long' (it was 'debug')"]

    @pytest.mark.parametrize(("arg", "value"), [(1, "a"), (None, "a"), ("a", 1), ("a", ["b"])])
    def test_other_types_are_refused(self, arg: Any, value: Any) -> None:
        with pytest.raises(TypeError, match="must be a str"):
            RunSettings("solver").set(arg, value)

    def test_a_name_is_more_than_dashes(self) -> None:
        with pytest.raises(ValueError, match="no name of a run argument"):
            RunSettings("solver").set(" -- ")


class TestEnvironment:
    @given(st.dictionaries(names, words))
    def test_variables_are_kept_as_they_are(self, variables: dict[str, str]) -> None:
        settings = RunSettings("solver", env_vars=variables)
        assert settings.env_vars == variables
        assert settings.format_env_vars() == [f"{name}={value}" for name, value in variables.items()]

    def test_numbers_become_text_and_none_stands_for_no_value(self) -> None:
        settings = RunSettings("solver", env_vars={"N": 4, "X": 0.5, "ON": True, "EMPTY": None})
        assert settings.env_vars == {"N": "4", "X": "0.5", "ON": "True", "EMPTY": None}
        assert settings.format_env_vars() == ["N=4", "X=0.5", "ON=True", "EMPTY="]

    def test_the_run_command_inherits_them_with_an_empty_text_for_no_value(self) -> None:
        assert RunSettings("solver", env_vars={"N": 4, "EMPTY": None}).variables() == {"N": "4", "EMPTY": ""}

    def test_updating_adds_and_replaces(self) -> None:
        settings = RunSettings("solver", env_vars={"A": "1", "B": "2"})
        settings.update_env({"B": 3, "C": False})
        assert settings.env_vars == {"A": "1", "B": "3", "C": "False"}

    @pytest.mark.parametrize("variables", [{"A": None}, {"A": ["x"]}, {"A": {}}, {3: "x"}, ["A=1"]])
    def test_updating_with_something_else_is_refused_and_changes_nothing(self, variables: Any) -> None:
        settings = RunSettings("solver", env_vars={"B": "2"})
        with pytest.raises(TypeError, match="env_vars|environment variable"):
            settings.update_env(variables)
        assert settings.env_vars == {"B": "2"}

    @pytest.mark.parametrize("variables", [{"": "x"}, {"A=B": "x"}, {"A": "x\0"}])
    def test_what_cannot_be_a_variable_is_refused(self, variables: dict[str, str | float | None]) -> None:
        with pytest.raises(ValueError, match="cannot be an environment variable"):
            RunSettings("solver", env_vars=variables)


class TestCopies:
    @pytest.mark.parametrize("copied", [RunSettings.copy, copy.deepcopy])
    def test_a_copy_shares_nothing_that_can_change(self, copied: Callable[[RunSettings], RunSettings]) -> None:
        original = ExampleLauncher("solver", ["a"], "launch", {"nodes": 1}, {"A": "1"})
        original.mpmd.append(RunSettings("other", ["b"]))
        original.colocated_db_settings = {"port": 6379, "rai_args": {"threads_per_queue": 1}, "db_models": ["m"]}
        before = repr(vars(original)), str(original.mpmd[0])
        twin = copied(original)
        assert type(twin) is ExampleLauncher
        twin.exe[0] = "changed"
        twin.add_exe_args("x")
        twin.set("new", "1")
        twin.update_env({"NEW": "1"})
        twin.mpmd[0].add_exe_args("x")
        assert twin.colocated_db_settings is not None
        twin.colocated_db_settings["rai_args"]["threads_per_queue"] = 8
        twin.colocated_db_settings["db_models"].append("n")
        assert str(original.mpmd[0]) == before[1]
        twin.mpmd = original.mpmd
        assert repr(vars(original)) == before[0]

    @given(st.lists(words), st.dictionaries(words, words), st.dictionaries(names, words))
    def test_a_copy_renders_the_same(self, args: list[str], run_args: dict[str, str], env: dict[str, str]) -> None:
        original = RunSettings("solver", args, "my-launcher", run_args, env)
        twin = original.copy()
        assert (line(twin).argv, line(twin).launch, twin.format_env_vars()) == (
            line(original).argv,
            line(original).launch,
            original.format_env_vars(),
        )

    def test_what_the_user_handed_over_stays_the_users(self) -> None:
        args, run_args, env_vars = ["a"], {"n": 1}, {"A": "1"}
        settings = RunSettings("solver", args, "launch", run_args, env_vars)
        settings.add_exe_args("b")
        settings.set("m", "2")
        settings.update_env({"B": "2"})
        assert (args, run_args, env_vars) == (["a"], {"n": 1}, {"A": "1"})


GENERIC: list[tuple[Callable[[RunSettings], None], str, str, object]] = [
    (lambda rs: rs.set_nodes(3), "Node", "nodes", 3),
    (lambda rs: rs.set_tasks(4), "Task", "ntasks", 4),
    (lambda rs: rs.set_tasks_per_node(2), "Task per node", "ntasks-per-node", 2),
    (lambda rs: rs.set_task_map("block"), "Task mapping", "distribution", "block"),
    (lambda rs: rs.set_cpus_per_task(8), "CPU per task", "cpus-per-task", 8),
    (lambda rs: rs.set_hostlist([" n1", "n2"]), "Hostlist", "nodelist", " n1,n2"),
    (lambda rs: rs.set_hostlist(" n1 "), "Hostlist", "nodelist", "n1"),
    (lambda rs: rs.set_hostlist_from_file("hosts"), "Hostlist from file", "nodefile", "hosts"),
    (lambda rs: rs.set_excluded_hosts("n3"), "Excluded host list", "exclude", "n3"),
    (lambda rs: rs.set_cpu_bindings([0, 2]), "CPU binding", "cpu_bind", "0,2"),
    (lambda rs: rs.set_cpu_bindings(1), "CPU binding", "cpu_bind", "1"),
    (lambda rs: rs.set_memory_per_node(100), "Memory per node", "mem", 100),
    (lambda rs: rs.set_verbose_launch(verbose=True), "Verbose launch", "verbose", None),
    (lambda rs: rs.set_quiet_launch(quiet=True), "Quiet launch", "quiet", None),
    (lambda rs: rs.set_broadcast("/tmp/solver"), "Broadcast", "bcast", "/tmp/solver"),
    (lambda rs: rs.set_broadcast(), "Broadcast", "bcast", None),
    (lambda rs: rs.set_node_feature(["gpu", "ssd"]), "Node feature", "C", "gpu,ssd"),
    (lambda rs: rs.set_binding("packed:2"), "Binding", "bind", "packed:2"),
    (lambda rs: rs.set_walltime("00:10:00"), "Walltime", "time", "00:10:00"),
    (lambda rs: rs.set_time(hours=1, minutes=1, seconds=1), "Walltime", "time", "3661"),
]


class TestGenericSetters:
    @pytest.mark.parametrize(("call", "title", "option", "value"), GENERIC)
    def test_a_launcher_that_has_it_stores_its_option(
        self, call: Callable[[RunSettings], None], title: str, option: str, value: object
    ) -> None:
        settings = ExampleLauncher("solver")
        call(settings)
        assert settings.run_args == {option: value}, title
        assert settings.warnings == []

    @pytest.mark.parametrize(("call", "title", "option", "value"), GENERIC)
    def test_one_that_has_not_warns_and_changes_nothing(
        self, call: Callable[[RunSettings], None], title: str, option: str, value: object
    ) -> None:
        settings = Told("solver")
        call(settings)
        assert settings.run_args == {}, (option, value)
        assert settings.warnings == [f"{title} specification not implemented for this RunSettings type: Told"]

    def test_several_programs_in_one_are_not_supported(self) -> None:
        settings = Told("solver")
        settings.make_mpmd(RunSettings("other"))
        settings.set_mpmd_preamble(["launch_distribution : packed"])
        assert [warning.partition(" specification")[0] for warning in settings.warnings] == [
            "Multiple program (other)",
            "MPMD preamble",
        ]
        assert settings.mpmd == []

    def test_a_switch_is_turned_off_again(self) -> None:
        settings = ExampleLauncher("solver")
        settings.set_verbose_launch(verbose=True)
        settings.set_verbose_launch(verbose=False)
        settings.set_quiet_launch(quiet=False)
        assert settings.run_args == {}

    @pytest.mark.parametrize("count", [1, "4", 2.0])
    def test_counts_come_as_numbers_or_text(self, count: Any) -> None:
        settings = ExampleLauncher("solver")
        settings.set_nodes(count)
        assert settings.run_args == {"nodes": int(count)}

    @pytest.mark.parametrize("settings_class", [RunSettings, ExampleLauncher])
    @pytest.mark.parametrize("setter", ["nodes", "tasks", "tasks_per_node", "cpus_per_task", "memory_per_node"])
    @pytest.mark.parametrize(
        ("count", "error"),
        [
            (0, ValueError),
            (-1, ValueError),
            (1.5, ValueError),
            (float("inf"), ValueError),
            ("many", ValueError),
            (None, TypeError),
            (True, TypeError),
            ([1], TypeError),
        ],
    )
    def test_a_count_that_cannot_be_is_refused_whatever_the_launcher(
        self, settings_class: type[RunSettings], setter: str, count: object, error: type[Exception]
    ) -> None:
        settings = settings_class("solver")
        with pytest.raises(error, match=setter):
            getattr(settings, f"set_{setter}")(count)
        assert settings.run_args == {}

    @pytest.mark.parametrize("setter", ["hostlist", "excluded_hosts", "node_feature"])
    @pytest.mark.parametrize("hosts", [5, [5], ("n1",), None])
    def test_hosts_and_features_are_text(self, setter: str, hosts: object) -> None:
        with pytest.raises(TypeError, match="must be a str or a list of str"):
            getattr(ExampleLauncher("solver"), f"set_{setter}")(hosts)

    @pytest.mark.parametrize(("bindings", "error"), [("0", TypeError), ([0, 1.5], TypeError), ([-1], ValueError)])
    def test_cpus_are_numbers_from_0(self, bindings: Any, error: type[Exception]) -> None:
        with pytest.raises(error, match="CPU"):
            ExampleLauncher("solver").set_cpu_bindings(bindings)

    @pytest.mark.parametrize(("hours", "error"), [(-1, ValueError), (1.5, TypeError), ("1", TypeError)])
    def test_a_time_is_made_of_whole_numbers(self, hours: Any, error: type[Exception]) -> None:
        with pytest.raises(error, match="hours"):
            RunSettings("solver").set_time(hours=hours)


def test_as_text_it_tells_what_is_run_and_how() -> None:
    settings = RunSettings("/bin/solver", ["-n", "two words"], "launch", {"nodes": 2, "exclusive": None})
    settings.colocated_db_settings = {"port": 6379}
    assert str(settings) == (
        "Executable: /bin/solver\n"
        "Executable Arguments: -n two words\n"
        "Run Command: launch\n"
        "Run Arguments:\n"
        "\tnodes = 2\n"
        "\texclusive = None\n"
        "Co-located Database: True"
    )
    assert str(RunSettings("/bin/true")) == "Executable: /bin/true\nExecutable Arguments: "
