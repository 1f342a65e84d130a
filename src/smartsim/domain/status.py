"""The states of an entity that users see."""

from __future__ import annotations

from enum import Enum


class SmartSimStatus(Enum):
    """What has become of an entity.

    `NeverStarted` and `New` come before a launch, `Queued`, `Running` and `Paused` (suspended) are active, and
    `Completed` (exit code 0), `Failed` and `Cancelled` (stopped on request) are final.
    """

    STATUS_RUNNING = "Running"
    STATUS_COMPLETED = "Completed"
    STATUS_CANCELLED = "Cancelled"
    STATUS_FAILED = "Failed"
    STATUS_NEW = "New"
    STATUS_PAUSED = "Paused"
    STATUS_NEVER_STARTED = "NeverStarted"
    STATUS_QUEUED = "Queued"


TERMINAL_STATUSES = {
    SmartSimStatus.STATUS_CANCELLED,
    SmartSimStatus.STATUS_COMPLETED,
    SmartSimStatus.STATUS_FAILED,
}
