"""What an experiment starts, and what it brings along for its database."""

from __future__ import annotations

from smartsim.app.ensemble import Ensemble
from smartsim.app.ml_objects import DBModel, DBObject, DBScript
from smartsim.app.model import Model
from smartsim.app.service import DBNode
from smartsim.app.telemetry import TelemetryConfiguration
from smartsim.domain.entity import EntityList, SmartSimEntity

EntitySequence = EntityList

__all__ = [
    "DBModel",
    "DBNode",
    "DBObject",
    "DBScript",
    "Ensemble",
    "EntityList",
    "EntitySequence",
    "Model",
    "SmartSimEntity",
    "TelemetryConfiguration",
]
