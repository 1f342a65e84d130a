"""How applications are run, and in which batch jobs and containers."""

from __future__ import annotations

from smartsim.app.batch_settings import (
    BsubBatchSettings,
    CobaltBatchSettings,
    FluxBatchSettings,
    QsubBatchSettings,
    SbatchSettings,
    SgeQsubBatchSettings,
)
from smartsim.app.rank_settings import (
    AprunSettings,
    DragonRunSettings,
    FluxRunSettings,
    JsrunSettings,
    MpiexecSettings,
    MpirunSettings,
    OrterunSettings,
    PalsMpiexecSettings,
    SrunSettings,
)
from smartsim.app.settings import RunSettings
from smartsim.domain.settings.base import SettingsBase
from smartsim.domain.settings.container import Container, Singularity

__all__ = [
    "AprunSettings",
    "BsubBatchSettings",
    "CobaltBatchSettings",
    "Container",
    "DragonRunSettings",
    "FluxBatchSettings",
    "FluxRunSettings",
    "JsrunSettings",
    "MpiexecSettings",
    "MpirunSettings",
    "OrterunSettings",
    "PalsMpiexecSettings",
    "QsubBatchSettings",
    "RunSettings",
    "SbatchSettings",
    "SettingsBase",
    "SgeQsubBatchSettings",
    "Singularity",
    "SrunSettings",
]
