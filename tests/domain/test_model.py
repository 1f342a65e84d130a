from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from run_commands import line
from smartsim.domain.attached_files import AttachedFiles
from smartsim.domain.entity import SmartSimEntity
from smartsim.domain.errors import EntityExistsError, SSUnsupportedError
from smartsim.domain.ml_objects import DBModel, DBScript
from smartsim.domain.model import Model
from smartsim.domain.settings.batch import BatchSettings
from smartsim.domain.settings.run import RunSettings

words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def model(name: str = "m", params: Any = None, **kwargs: Any) -> Model:
    return Model(name, params, kwargs.pop("run_settings", RunSettings("solver")), "/exp/m", **kwargs)


class TestIdentity:
    def test_models_are_equal_when_their_names_are(self) -> None:
        assert model("a", {"x": 1}) == model("a", {"x": 2})
        assert model("a") != model("b")
        assert len({model("a"), model("a"), model("b")}) == 2
        assert model("a") != "a"

    def test_a_model_shows_as_its_name(self) -> None:
        assert repr(model("heat")) == "heat"

    def test_as_text_it_tells_what_it_runs(self) -> None:
        assert str(model("heat")) == "Name: heat\nType: Model\nExecutable: solver\nExecutable Arguments: \n"

    def test_the_type_is_the_name_of_the_class(self) -> None:
        assert model().type == "Model"

    @pytest.mark.parametrize(("name", "error"), [(None, AttributeError), (3, TypeError), ("a/b", ValueError)])
    def test_the_name_is_one_that_files_can_have(self, name: Any, error: type[Exception]) -> None:
        with pytest.raises(error):
            model(name)

    def test_the_path_is_a_string(self) -> None:
        changed = model()
        changed.set_path("/elsewhere")
        assert changed.path == "/elsewhere"
        wrong: Any = 3
        with pytest.raises(TypeError, match="path must be a str"):
            changed.set_path(wrong)


class TestSettings:
    def test_models_made_of_the_same_settings_do_not_share_them(self) -> None:
        shared = RunSettings("solver", ["a"], env_vars={"A": "1"})
        first, second = model("a", run_settings=shared), model("b", run_settings=shared)
        first.run_settings.update_env({"SSKEYOUT": "a"})
        first.run_settings.add_exe_args("b")
        for untouched in (shared, second.run_settings):
            assert (untouched.env_vars, untouched.exe_args) == ({"A": "1"}, ["a"])

    def test_later_changes_of_the_users_settings_do_not_reach_the_model(self) -> None:
        run, batch = RunSettings("solver"), BatchSettings("sbatch")
        made = model(run_settings=run, batch_settings=batch)
        run.add_exe_args("late")
        batch.add_preamble("late")
        assert made.run_settings.exe_args == []
        assert made.batch_settings is not None
        assert made.batch_settings.preamble == ()

    def test_settings_of_the_wrong_kind_are_refused(self) -> None:
        with pytest.raises(TypeError, match="run_settings of 'm' must be RunSettings"):
            model(run_settings=BatchSettings("sbatch"))
        with pytest.raises(TypeError, match="batch_settings must be BatchSettings"):
            model(batch_settings=RunSettings("solver"))


class TestParameters:
    def test_they_are_kept_as_text(self) -> None:
        assert model(params={"n": 3, "dt": 0.5, "on": True, "mesh": "fine"}).params == {
            "n": "3",
            "dt": "0.5",
            "on": "True",
            "mesh": "fine",
        }

    @pytest.mark.parametrize("value", [[1], None, {"a": 1}, (1,)])
    def test_others_are_refused(self, value: object) -> None:
        with pytest.raises(TypeError, match="Incorrect type for model parameters"):
            model(params={"x": value})

    @given(st.dictionaries(st.text("abcxyz", min_size=1), words, min_size=1))
    def test_as_arguments_their_values_arrive_whole(self, params: dict[str, str]) -> None:
        made = model(params=params, params_as_args=list(params), run_settings=RunSettings("solver", ["run"]))
        made.params_to_args()
        expected = ["run"]
        for name, value in params.items():
            expected += [f"-{name}", value] if len(name) == 1 else [f"--{name}={value}"]
        assert line(made.run_settings).argv == ("solver", *expected)

    def test_an_argument_that_is_no_parameter_is_refused(self) -> None:
        made = model(params={"a": 1}, params_as_args=["b"])
        with pytest.raises(ValueError, match="'b' of params_as_args is not a parameter"):
            made.params_to_args()

    @pytest.mark.parametrize("names", ["abc", [1], 3])
    def test_names_of_arguments_are_a_list(self, names: Any) -> None:
        with pytest.raises(TypeError, match="params_as_args must be a list"):
            model(params_as_args=names)


class TestKeys:
    def test_prefixing_is_off_until_it_is_turned_on(self) -> None:
        made = model()
        assert made.query_key_prefixing() is False
        made.enable_key_prefixing()
        assert made.query_key_prefixing() is True
        made.disable_key_prefixing()
        assert made.query_key_prefixing() is False

    def test_incoming_entities_are_registered_once(self) -> None:
        consumer, producer = model("consumer"), model("producer")
        consumer.register_incoming_entity(producer)
        with pytest.raises(EntityExistsError, match="'producer' has already been registered as an incoming entity"):
            consumer.register_incoming_entity(SmartSimEntity("producer", "/p", RunSettings("x")))
        assert consumer.incoming_entities == [producer]


COLOCATE: list[Callable[[Model], None]] = [Model.colocate_db_tcp, Model.colocate_db_uds]


class TestColocation:
    def test_tcp(self) -> None:
        made = model()
        assert made.colocated is False
        made.colocate_db_tcp(
            6780, ["lo", "hsn0"], 2, [5, 4], debug=True, db_identifier="near", threads_per_queue=2, a_b=1
        )
        assert made.colocated is True
        assert made.run_settings.colocated_db_settings == {
            "port": 6780,
            "ifname": ["lo", "hsn0"],
            "cpus": 2,
            "custom_pinning": "4,5",
            "default_pinning": False,
            "debug": True,
            "db_identifier": "near",
            "rai_args": {"threads_per_queue": 2, "inter_op_parallelism": None, "intra_op_parallelism": None},
            "extra_db_args": {"a_b": "1"},
            "db_models": [],
            "db_scripts": [],
        }

    def test_unix_socket(self) -> None:
        made = model()
        made.colocate_db_uds()
        settings = made.run_settings.colocated_db_settings
        assert settings is not None
        assert (settings["unix_socket"], settings["socket_permissions"], settings["port"]) == (
            None,
            755,
            0,
        )
        assert "ifname" not in settings

    def test_the_old_name_warns_and_means_tcp(self) -> None:
        made = model()
        with pytest.warns(FutureWarning, match="colocate_db_tcp"):
            made.colocate_db(port=6780)
        assert made.run_settings.colocated_db_settings is not None
        assert made.run_settings.colocated_db_settings["port"] == 6780

    @pytest.mark.parametrize("colocate", COLOCATE)
    def test_what_is_added_later_belongs_to_its_database(self, colocate: Callable[[Model], None]) -> None:
        made = model()
        colocate(made)
        cnn, script = DBModel("cnn", "TF", model_file="/cnn.pb"), DBScript("f", "def f(): pass")
        made.add_ml_model_object(cnn)
        made.add_script_object(script)
        settings = made.run_settings.colocated_db_settings
        assert settings is not None
        assert (settings["db_models"], settings["db_scripts"]) == ([cnn], [script])

    def test_settings_taken_from_a_colocated_model_bring_its_objects_but_not_its_later_ones(self) -> None:
        first = model("a")
        first.colocate_db_tcp()
        first.add_script_object(DBScript("f", "def f(): pass"))
        second = model("b", run_settings=first.run_settings)
        second.add_script_object(DBScript("g", "def g(): pass"))
        assert [script.name for script in first.db_scripts] == ["f"]
        assert [script.name for script in second.db_scripts] == ["f", "g"]
        assert second.run_settings.colocated_db_settings is not None
        assert second.run_settings.colocated_db_settings["db_scripts"] == list(second.db_scripts)

    @pytest.mark.parametrize("colocate", COLOCATE)
    def test_several_programs_in_one_have_none(self, colocate: Callable[[Model], None]) -> None:
        made = model()
        made.run_settings.mpmd.append(RunSettings("other"))
        with pytest.raises(SSUnsupportedError, match="several programs"):
            colocate(made)
        assert made.colocated is False

    @pytest.mark.parametrize("colocate", COLOCATE)
    @pytest.mark.parametrize("in_memory", [DBModel("cnn", "TF", b"blob"), DBScript("f", len)])
    def test_what_is_in_memory_goes_with_it_too(
        self, colocate: Callable[[Model], None], in_memory: DBModel | DBScript
    ) -> None:
        def add(made: Model) -> None:
            if isinstance(in_memory, DBModel):
                made.add_ml_model_object(in_memory)
            else:
                made.add_script_object(in_memory)

        before, after = model(), model()
        add(before)
        colocate(before)
        colocate(after)
        add(after)
        for made in (before, after):
            settings = made.run_settings.colocated_db_settings
            assert settings is not None
            assert (*settings["db_models"], *settings["db_scripts"]) == (in_memory,)


class TestDatabaseObjects:
    def test_they_can_be_listed_more_than_once(self) -> None:
        made = model()
        made.add_ml_model_object(DBModel("cnn", "TF", b"blob"))
        assert list(made.db_models) == list(made.db_models) != []

    def test_a_name_is_used_once_per_kind(self) -> None:
        made = model()
        made.add_ml_model_object(DBModel("x", "TF", b"blob"))
        made.add_script_object(DBScript("x", "def f(): pass"))
        with pytest.raises(SSUnsupportedError, match='An ML Model with name "x" already exists'):
            made.add_ml_model_object(DBModel("x", "TORCH", b"other"))
        with pytest.raises(SSUnsupportedError, match='A Script with name "x" already exists'):
            made.add_script_object(DBScript("x", "def g(): pass"))
        assert (len(made.db_models), len(made.db_scripts)) == (1, 1)


class TestAttachedFiles:
    @pytest.mark.parametrize("strategy", ["copy", "symlink", "configure"])
    @pytest.mark.parametrize("path", ["/a/smartsim_params.txt", "/a/smartsim_params.txt/", "smartsim_params.txt"])
    def test_the_parameter_file_cannot_be_attached(self, strategy: str, path: str) -> None:
        with pytest.raises(ValueError, match="smartsim_params.txt"):
            AttachedFiles(**{strategy: ("/a/fine.txt", path)})

    def test_a_table_has_a_row_for_each_strategy_in_use(self) -> None:
        files = AttachedFiles(copy=("/a", "/b"), configure=("/c",))
        assert files.rows() == [("Copy", "/a\n/b"), ("Configure", "/c")]
        assert AttachedFiles().rows() == []
