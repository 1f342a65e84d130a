"""What a database is, in the words of the variable `SR_DB_TYPE`."""

from __future__ import annotations

from smartsim.domain.client_environment import CLUSTERED, STANDALONE

__all__ = ["CLUSTERED", "STANDALONE"]
