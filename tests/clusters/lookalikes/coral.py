"""Looks like LSF of IBM with JSM, as on Summit and Lassen, after its documents: it was never run beside this.

A script that is named as the command is read for its options, ``-nnodes`` and its like are known, a project has to be
given, jobs have their nodes for themselves, and scripts run on a launch node. A job's end has a reason in its history.
`ranks` has jsrun.
"""

from __future__ import annotations

from clusters.lookalikes.cluster import Front
from clusters.lookalikes.lsf import Lsf

FRONT: Front = Lsf("batch1", "IBM Spectrum LSF Standard 10.1.0.9, Oct 16 2019")
