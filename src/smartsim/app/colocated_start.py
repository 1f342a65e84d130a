"""Colocated databases, as the driver sees them: what their ranks are told, and what became of them."""

from __future__ import annotations

import json
import posixpath
import secrets
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from smartsim.domain.addresses import Address
from smartsim.domain.client_environment import Endpoint
from smartsim.domain.colocation import ColocatedDatabase, option_name
from smartsim.domain.database import DEFAULT_PORT, ShardPlan
from smartsim.domain.errors import SmartSimError
from smartsim.domain.workers import WorkerOptions
from smartsim.ports.database_server import Credentials, DatabaseServer

if TYPE_CHECKING:
    from smartsim.app.jobs import Job, Jobs
    from smartsim.app.model import Model
    from smartsim.ports.clock import Clock
    from smartsim.ports.file_system import FileReader, FileSystem
