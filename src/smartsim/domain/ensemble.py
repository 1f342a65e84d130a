"""An ensemble: models that are started together, made of one description."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from smartsim.domain.entity import EntityList, SmartSimEntity, checked_run_settings
from smartsim.domain.errors import EntityExistsError, SmartSimError
from smartsim.domain.ml_objects import BringsMLObjects, DBModel, DBScript
from smartsim.domain.model import Model, checked_names, copied_batch_settings
from smartsim.domain.names import member_name
from smartsim.domain.parameters import Sample, Strategy, ensemble_parameters, member_parameters
from smartsim.domain.settings.batch import BatchSettings
from smartsim.domain.settings.run import RunSettings

_NO_MEMBERS = (
    "Ensembles without 'params' or 'replicas' argument to expand into members cannot be given run settings: give one "
    "of them, or batch_settings alone and the models with add_model"
)

Member = TypeVar("Member", bound=Model)
MakeMember: TypeAlias = Callable[[str, Mapping[str, str], RunSettings, str, Sequence[str]], Member]
"""Makes one member of its name, parameters, run settings, path and `params_as_args`, as `Model` does."""


class Ensemble(BringsMLObjects, EntityList[Member]):
    """Models that are started together.

    What it is made of decides what it becomes:

    * `params` and `run_settings`: a member for each combination of parameters, `replicas` times each;
    * `replicas` and `run_settings`: that many members without parameters;
    * `batch_settings` alone: empty, to be filled with `add_model`, and launched as one batch job.

    Members are called ``<name>_<number>``, run in a directory of that name, and write under their own prefix.

    Args:
        name: unique in the experiment.
        params: values by name of parameter: a list, or one string or number.
        path: its directory; absolute.
        params_as_args: which parameters are handed over on the members' command line.
        batch_settings: the batch job that all members run in; copied.
        run_settings: how each member is run; copied.
        perm_strat: how values are combined: ``all_perm``, ``step``, ``random`` or a callable; see
            `smartsim.domain.parameters.expand`.
        replicas: how many members share one combination.
        n_models: how many combinations ``random`` draws.
        sample: draws for ``random``.
        make_member: makes each member.

    Raises:
        TypeError: an argument has another type.
        SmartSimError: what is given does not say which members to make.
        UserStrategyError, SSUnsupportedError: for the strategy.
    """

    def __init__(
        self,
        name: str,
        params: Mapping[str, Any] | None,
        path: str,
        params_as_args: Sequence[str] | None = None,
        batch_settings: BatchSettings | None = None,
        run_settings: RunSettings | None = None,
        perm_strat: Strategy = "all_perm",
        *,
        replicas: int | None = None,
        n_models: int | None = None,
        sample: Sample | None = None,
        make_member: MakeMember[Member],
    ) -> None:
        EntityList.__init__(self, name, path)
        BringsMLObjects.__init__(self, [], [])
        self.params = ensemble_parameters(params)
        self.params_as_args = checked_names(params_as_args)
        self.batch_settings = copied_batch_settings(batch_settings)
        self.run_settings = None if run_settings is None else checked_run_settings(name, run_settings).copy()
        self.replicas = replicas
        members = member_parameters(self.params, perm_strat, replicas, n_models or 0, sample)
        if self.run_settings is None:
            self._check_empty()
            return
        if not members:
            raise SmartSimError(_NO_MEMBERS if not self.params else f"The strategy {perm_strat!r} made no member")
        for number, values in enumerate(members):
            member = member_name(self.name, number)
            model = make_member(member, values, self.run_settings, posixpath.join(path, member), self.params_as_args)
            model.enable_key_prefixing()
            if self.params:
                model.params_to_args()
            self.entities.append(model)

    @property
    def models(self) -> list[Member]:
        """The members, as a new list."""
        return list(self.entities)

    @property
    def batch(self) -> bool:
        """Whether all members run in one batch job."""
        return self.batch_settings is not None

    def add_model(self, model: Member) -> None:
        """Add a member. It keeps its name, path and settings, and brings along what the ensemble does.

        Raises:
            TypeError: it is no model.
            EntityExistsError: a member has that name.
            SSUnsupportedError: it brings along something else under a name of the ensemble's.
        """
        if not isinstance(model, Model):
            raise TypeError(f"Argument to add_model was of type {type(model).__name__}, not Model: {model!r}")
        if model in self.entities:
            raise EntityExistsError(f"Model {model.name} already exists in ensemble {self.name}: choose another name")
        new_models = [db_model for db_model in self._db_models if db_model not in model.db_models]
        new_scripts = [db_script for db_script in self._db_scripts if db_script not in model.db_scripts]
        for db_model in new_models:
            model.check_db_object(db_model)
        for db_script in new_scripts:
            model.check_db_object(db_script)
        for db_model in new_models:
            model.add_ml_model_object(db_model)
        for db_script in new_scripts:
            model.add_script_object(db_script)
        self.entities.append(model)

    def register_incoming_entity(self, incoming_entity: SmartSimEntity) -> None:
        """Let every member read what another entity writes under its own prefix.

        Raises:
            EntityExistsError: one of that name is registered with a member already; then nothing is changed.
        """
        for model in self.entities:
            model.check_incoming_entity(incoming_entity)
        for model in self.entities:
            model.register_incoming_entity(incoming_entity)

    def enable_key_prefixing(self) -> None:
        """Have every member write its data under its own name; members made by the ensemble do so from the start."""
        for model in self.entities:
            model.enable_key_prefixing()

    def query_key_prefixing(self) -> bool:
        """Return whether every member writes its data under its own name."""
        return all(model.query_key_prefixing() for model in self.entities)

    def add_ml_model_object(self, db_model: DBModel) -> None:
        """Have every member, and those added later, bring along a machine-learning model.

        Raises:
            SSUnsupportedError: there is one of that name, or a member cannot have it; then nothing is changed.
        """
        super().add_ml_model_object(db_model)
        for model in self.entities:
            model.add_ml_model_object(db_model)

    def add_script_object(self, db_script: DBScript) -> None:
        """Have every member, and those added later, bring along a script or function.

        Raises:
            SSUnsupportedError: there is one of that name, or a member cannot have it; then nothing is changed.
        """
        super().add_script_object(db_script)
        for model in self.entities:
            model.add_script_object(db_script)

    def check_db_object(self, db_object: DBModel | DBScript) -> None:
        """Raise what adding a model or script would raise."""
        super().check_db_object(db_object)
        for model in self.entities:
            model.check_db_object(db_object)

    def _check_empty(self) -> None:
        if self.params or self.replicas:
            raise SmartSimError(
                f"The ensemble {self.name} has 'params' or 'replicas' but no run settings to make members with: "
                "pass run_settings"
            )
        if self.batch_settings is None:
            raise SmartSimError(
                "Ensemble must be provided batch settings or run settings: run_settings with 'params' or 'replicas' "
                f"make the members of {self.name}, batch_settings alone an empty one to add models to"
            )
