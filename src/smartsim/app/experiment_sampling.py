"""What of an experiment is sampled, and where the samples go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from smartsim.adapters.eventlog.jsonl import JsonlEventLog
from smartsim.app import colocated_start
from smartsim.app.database_samples import DatabaseSamples, SampledServer
from smartsim.app.job_samples import JobSamples
from smartsim.app.sampling import Sampler, Samples
from smartsim.app.sampling_turns import SamplingTurns
from smartsim.app.scheduled_samples import ScheduledSamples

if TYPE_CHECKING:
    from smartsim.app.bootstrap import Adapters
    from smartsim.app.databases import Databases
    from smartsim.app.jobs import Job, Jobs
    from smartsim.app.recording import Listener


class ExperimentSampler:
    """All threads that sample an experiment: one, and on a scheduler another one that waits for its answers.

    Args:
        samplers: the threads.
    """

    def __init__(self, samplers: Sequence[Sampler]) -> None:
        self._samplers = samplers

    def start(self) -> None:
        """See to it that those run for which there is anything to look at."""
        for sampler in self._samplers:
            sampler.start()

    def close(self) -> None:
        """End them."""
        for sampler in self._samplers:
            sampler.close()


def experiment_sampler(
    adapters: Adapters,
    jobs: Jobs,
    databases: Databases,
    is_enabled: Callable[[], bool],
    interval: float,
    export: Listener | None = None,
) -> ExperimentSampler:
    """Return what looks at the jobs and databases of an experiment.

    Args:
        adapters: of the experiment.
        jobs: its jobs.
        databases: its databases.
        is_enabled: whether anything is to be looked at.
        interval: seconds between two looks.
        export: is given the samples, too.
    """
    host, log = adapters.network.hostname(), adapters.metrics_log
    # Another log is none that a process beside a server could write.
    metrics = log.path if isinstance(log, JsonlEventLog) else None
    turns = SamplingTurns(adapters.files, adapters.clock, metrics, interval)

    def active() -> Sequence[Job]:
        return jobs.active() if is_enabled() else []

    def servers() -> Sequence[SampledServer]:
        return running() if is_enabled() else []

    def running() -> Sequence[SampledServer]:
        colocated = colocated_start.sampled(jobs.active(), adapters.database_server, adapters.files, host)
        return [*databases.sampled(), *colocated]

    def announce() -> None:
        (turns.take if is_enabled() else turns.decline)(running())

    take = Samples(adapters.metrics_log, adapters.clock, export).take
    sources = (
        DatabaseSamples(servers, adapters.files, adapters.clock, interval),
        JobSamples(active, jobs.handle, adapters.meter, adapters.clock, interval),
    )
    samplers = [Sampler(sources, take, interval, announce)]
    if adapters.job_meter is not None:
        scheduled = ScheduledSamples(active, jobs.handle, adapters.job_meter, adapters.clock, interval)
        samplers.append(Sampler([scheduled], take, interval))
    return ExperimentSampler(samplers)
