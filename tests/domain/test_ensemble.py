from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain.ensemble import Ensemble
from smartsim.domain.entity import EntityList
from smartsim.domain.errors import EntityExistsError, SmartSimError, SSUnsupportedError, UserStrategyError
from smartsim.domain.ml_objects import DBModel, DBScript
from smartsim.domain.model import Model
from smartsim.domain.settings.batch import BatchSettings
from smartsim.domain.settings.run import RunSettings

values = st.lists(st.integers(), min_size=1, max_size=4)


def ensemble(params: Any = None, **kwargs: Any) -> Ensemble[Model]:
    kwargs.setdefault("run_settings", RunSettings("solver"))
    return Ensemble("ens", params, "/exp/ens", make_member=Model, **kwargs)


def single(name: str) -> Model:
    return Model(name, {}, RunSettings("solver"), f"/exp/{name}")


class TestMembers:
    @given(st.dictionaries(st.text("abcd", min_size=1), values, min_size=1, max_size=3), st.integers(1, 3))
    def test_there_is_one_for_each_combination_and_replica(self, params: dict[str, list[int]], replicas: int) -> None:
        made = ensemble(params, replicas=replicas)
        combinations = 1
        for column in params.values():
            combinations *= len(column)
        assert len(made) == combinations * replicas
        assert [member.name for member in made] == [f"ens_{i}" for i in range(len(made))]
        assert [member.path for member in made] == [f"/exp/ens/ens_{i}" for i in range(len(made))]
        for index in range(0, len(made), replicas):
            assert all(made.models[index + i].params == made.models[index].params for i in range(replicas))

    def test_replicas_alone_make_members_without_parameters(self) -> None:
        made = ensemble(replicas=3)
        assert [(member.name, member.params) for member in made] == [("ens_0", {}), ("ens_1", {}), ("ens_2", {})]

    def test_they_share_no_settings(self) -> None:
        settings = RunSettings("solver", ["a"])
        made = ensemble(replicas=2, run_settings=settings)
        made.models[0].run_settings.add_exe_args("b")
        settings.add_exe_args("c")
        assert made.models[1].run_settings.exe_args == ["a"]

    def test_they_write_under_their_own_names(self) -> None:
        made = ensemble(replicas=2)
        assert made.query_key_prefixing() is True
        made.models[0].disable_key_prefixing()
        assert made.query_key_prefixing() is False
        made.enable_key_prefixing()
        assert made.query_key_prefixing() is True

    def test_parameters_reach_their_command_line_whole(self) -> None:
        made = ensemble({"dt": ["0.1 s", "0.2 s"], "n": 4}, params_as_args=["n", "dt"])
        assert [member.run_settings.exe_args for member in made] == [
            ["-n", "4", "--dt=0.1 s"],
            ["-n", "4", "--dt=0.2 s"],
        ]
        assert [member.params["dt"] for member in made] == ["0.1 s", "0.2 s"]

    def test_random_ones_are_drawn_with_what_was_handed_in(self) -> None:
        params = {"a": list(range(10)), "b": list(range(10))}
        made = ensemble(params, perm_strat="random", n_models=3, sample=lambda numbers, count: numbers[-count:])
        assert [member.params for member in made] == [{"a": "9", "b": last} for last in ("7", "8", "9")]

    def test_a_strategy_of_the_users_is_asked(self) -> None:
        def pairs(names: list[str], columns: list[list[str]], n_models: int) -> list[dict[str, str]]:
            return [dict(zip(names, column, strict=True)) for column in zip(*columns, strict=True)][:n_models]

        made = ensemble({"a": [1, 2, 3], "b": [4, 5, 6]}, perm_strat=pairs, n_models=2)
        assert [member.params for member in made] == [{"a": "1", "b": "4"}, {"a": "2", "b": "5"}]


class TestWhatIsGiven:
    def test_run_settings_alone_are_not_enough(self) -> None:
        for replicas in (None, 0):
            with pytest.raises(SmartSimError, match="Ensembles without 'params' or 'replicas' argument to expand"):
                ensemble(replicas=replicas)

    def test_nothing_is_not_enough(self) -> None:
        with pytest.raises(SmartSimError, match="Ensemble must be provided batch settings or run settings"):
            ensemble(run_settings=None)

    @pytest.mark.parametrize("batch_settings", [None, BatchSettings("sbatch")])
    @pytest.mark.parametrize("arguments", [{"params": {"a": [1]}}, {"replicas": 2}])
    def test_members_need_run_settings(self, arguments: Any, batch_settings: BatchSettings | None) -> None:
        with pytest.raises(SmartSimError, match="pass run_settings"):
            ensemble(run_settings=None, batch_settings=batch_settings, **arguments)

    def test_batch_settings_alone_make_an_empty_one(self) -> None:
        batch = BatchSettings("sbatch")
        made = ensemble(run_settings=None, batch_settings=batch)
        batch.add_preamble("late")
        assert (len(made), made.batch, made.query_key_prefixing()) == (0, True, True)
        assert made.batch_settings is not None
        assert made.batch_settings.preamble == ()

    def test_batch_tells_whether_there_is_a_batch_job(self) -> None:
        assert ensemble(replicas=1).batch is False
        assert ensemble(replicas=1, batch_settings=BatchSettings("sbatch")).batch is True

    def test_lists_of_different_lengths_are_not_cut_short(self) -> None:
        with pytest.raises(SmartSimError, match="'a' has 2, 'b' has 3"):
            ensemble({"a": [1, 2], "b": [1, 2, 3]}, perm_strat="step")

    def test_a_strategy_that_makes_nothing_is_told(self) -> None:
        with pytest.raises(SmartSimError, match="made no member"):
            ensemble({"a": [1]}, perm_strat=lambda *_: [])

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ({"params": {"THERMO"}}, TypeError),
            ({"params": {"a": (1, 2)}}, TypeError),
            ({"params": {"a": [1]}, "perm_strat": "everything"}, SSUnsupportedError),
            ({"params": {"a": [1]}, "perm_strat": lambda *_: "no list"}, UserStrategyError),
            ({"replicas": -1}, ValueError),
            ({"replicas": "two"}, TypeError),
            ({"replicas": 1, "params_as_args": "abc"}, TypeError),
            ({"replicas": 1, "run_settings": BatchSettings("sbatch")}, TypeError),
            ({"params": {"a": [1]}, "params_as_args": ["b"]}, ValueError),
        ],
    )
    def test_what_cannot_be_is_refused(self, arguments: Any, error: type[Exception]) -> None:
        with pytest.raises(error):
            ensemble(**arguments)

    def test_the_list_itself_is_no_entity(self) -> None:
        with pytest.raises(NotImplementedError, match="create an Ensemble"):
            EntityList("ens", "/exp/ens")


class TestAsAList:
    def test_members_are_found_by_name_and_by_place(self) -> None:
        made = ensemble(replicas=3)
        assert made["ens_1"] is made[1] is made.models[1]
        assert made["ens_7"] is None
        assert made[-1] is made.models[2]
        with pytest.raises(IndexError):
            made[3]

    def test_the_list_of_models_is_a_copy_and_that_of_entities_is_not(self) -> None:
        made = ensemble(replicas=2)
        made.models.clear()
        assert list(made) == made.entities
        assert len(made) == 2
        made.entities.pop()
        assert len(made) == 1

    def test_it_shows_as_its_name(self) -> None:
        assert (repr(ensemble(replicas=1)), ensemble(replicas=1).type) == ("ens", "Ensemble")

    def test_a_path_set_is_that_of_all(self) -> None:
        made = ensemble(replicas=2)
        made.set_path("/elsewhere")
        assert {made.path, *(member.path for member in made)} == {"/elsewhere"}


class TestAddModel:
    def test_a_model_keeps_its_own_name_path_and_prefixing(self) -> None:
        made, added = ensemble(replicas=1), single("own")
        made.add_model(added)
        assert made["own"] is added
        assert (added.path, added.query_key_prefixing()) == ("/exp/own", False)

    def test_a_name_stands_once(self) -> None:
        made = ensemble(replicas=1)
        with pytest.raises(EntityExistsError, match="ens_0 already exists"):
            made.add_model(single("ens_0"))
        assert len(made) == 1

    @pytest.mark.parametrize("wrong", [None, "ens_1", RunSettings("solver")])
    def test_only_models_are_added(self, wrong: Any) -> None:
        with pytest.raises(TypeError, match="not Model"):
            ensemble(replicas=1).add_model(wrong)

    def test_it_brings_along_what_the_ensemble_does(self) -> None:
        made, added = ensemble(replicas=1), single("own")
        cnn, script = DBModel("cnn", "TF", b"blob"), DBScript("f", "def f(): pass")
        made.add_ml_model_object(cnn)
        made.add_script_object(script)
        made.add_model(added)
        assert (added.db_models, added.db_scripts) == ((cnn,), (script,))

    def test_the_same_object_is_not_added_twice(self) -> None:
        made, added = ensemble(replicas=1), single("own")
        cnn = DBModel("cnn", "TF", b"blob")
        added.add_ml_model_object(cnn)
        made.add_ml_model_object(cnn)
        made.add_model(added)
        assert added.db_models == (cnn,)

    def test_another_object_of_the_same_name_is_refused_and_nothing_is_changed(self) -> None:
        made, added = ensemble(replicas=1), single("own")
        made.add_ml_model_object(DBModel("fine", "TF", b"blob"))
        made.add_script_object(DBScript("f", "def f(): pass"))
        added.add_script_object(DBScript("f", "def other(): pass"))
        with pytest.raises(SSUnsupportedError, match='A Script with name "f" already exists'):
            made.add_model(added)
        assert (len(made), added.db_models) == (1, ())


class TestForAllMembers:
    def test_incoming_entities_are_registered_with_all_or_none(self) -> None:
        made, source = ensemble(replicas=2), single("source")
        made.models[1].register_incoming_entity(source)
        with pytest.raises(EntityExistsError, match="'source'"):
            made.register_incoming_entity(source)
        assert made.models[0].incoming_entities == []
        made.register_incoming_entity(single("other"))
        assert [len(member.incoming_entities) for member in made] == [1, 2]

    def test_objects_reach_all_or_none(self) -> None:
        made = ensemble(replicas=2)
        made.models[1].add_ml_model_object(DBModel("taken", "TF", b"blob"))
        with pytest.raises(SSUnsupportedError, match='An ML Model with name "taken" already exists'):
            made.add_ml_model_object(DBModel("taken", "TF", b"other"))
        assert (made.db_models, made.models[0].db_models) == ((), ())
        made.add_ml_model_object(DBModel("new", "TF", b"blob"))
        assert [len(member.db_models) for member in made] == [1, 2]
        with pytest.raises(SSUnsupportedError, match='An ML Model with name "new" already exists'):
            made.add_ml_model_object(DBModel("new", "TF", b"other"))
