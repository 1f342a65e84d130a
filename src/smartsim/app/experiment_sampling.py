"""What of an experiment is sampled, and where the samples go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from smartsim.app import colocated_start
from smartsim.app.database_samples import DatabaseSamples, SampledServer
from smartsim.app.job_samples import JobSamples
from smartsim.app.sampling import Sampler, Samples

if TYPE_CHECKING:
    from smartsim.app.bootstrap import Adapters
    from smartsim.app.databases import Databases
    from smartsim.app.jobs import Job, Jobs
    from smartsim.app.recording import Listener


def experiment_sampler(
    adapters: Adapters,
    jobs: Jobs,
    databases: Databases,
    is_enabled: Callable[[], bool],
    interval: float,
    export: Listener | None = None,
) -> Sampler:
    """Return what looks at the jobs and databases of an experiment.

    Args:
        adapters: of the experiment.
        jobs: its jobs.
        databases: its databases.
        is_enabled: whether anything is to be looked at.
        interval: seconds between two looks.
        export: is given the samples, too.
    """
    host = adapters.network.hostname()

    def active() -> Sequence[Job]:
        return jobs.active() if is_enabled() else []

    def servers() -> Sequence[SampledServer]:
        if not is_enabled():
            return []
        colocated = colocated_start.sampled(jobs.active(), adapters.database_server, adapters.files, host)
        return [*databases.sampled(), *colocated]

    sources = (
        DatabaseSamples(servers, adapters.files, adapters.clock, interval),
        JobSamples(active, jobs.handle, adapters.meter, adapters.clock, interval),
    )
    return Sampler(sources, Samples(adapters.metrics_log, adapters.clock, export).take, interval)
