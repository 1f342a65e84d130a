"""All about one member, as lines of text."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Sequence

from rich.text import Text

from smartsim.app.plain_text import clock_time, duration, growing, printable
from smartsim.app.watch.log_tail import wrapped
from smartsim.app.watch.text import STYLES
from smartsim.domain.views.details import Detail
from smartsim.domain.views.diagnosis import Diagnosis
from smartsim.domain.views.table import Row

_LABEL = 11  # cells


def about_lines(detail: Detail, diagnosis: Diagnosis | None, width: int) -> list[Text]:
    """Return what is known of a member; first why it failed.

    Args:
        detail: of the member.
        diagnosis: of its failure; None if it did not fail.
        width: of the terminal, in cells.
    """
    row = detail.row
    lines = [Text.assemble((printable(row.entity), "bold"), "  ", (row.status, STYLES.get(row.status, "")))]
    if row.driver_gone:
        lines.append(Text("Its driver has gone: nobody knows whether it still runs", "bold red"))
    if diagnosis is not None:
        lines.extend(_diagnosis(diagnosis, width))
    for label, value in _facts(detail):
        first, *others = wrapped([value], width - _LABEL) if value else [""]
        if value:
            lines.append(Text.assemble((f"{label:<{_LABEL}}", "bold"), first))
            lines.extend(Text(" " * _LABEL + other) for other in others)
    return lines


def _diagnosis(diagnosis: Diagnosis, width: int) -> Iterator[Text]:
    yield from (Text(line, "bold red") for line in prose(diagnosis.headline, width))
    reason = "" if diagnosis.reason in diagnosis.explanation else diagnosis.reason
    for told in (diagnosis.explanation, reason):
        yield from map(Text, prose(told, width))
    if diagnosis.stderr_tail:
        yield Text("Last lines of standard error", "bold")
        yield from (Text(f"  {line}") for line in wrapped(diagnosis.stderr_tail, width - 2))
    if diagnosis.next_step:
        yield Text("What to do", "bold")
        yield from (Text(f"  {line}") for line in prose(diagnosis.next_step, width - 2))
    yield Text()


def prose(text: str, width: int) -> list[str]:
    """Return the lines of a text, broken between words.

    Args:
        text: any; white space is a space.
        width: cells of a line.
    """
    return wrapped(textwrap.wrap(text, max(width, 2)), width)


def _facts(detail: Detail) -> Iterator[tuple[str, str]]:
    row = detail.row
    yield "exit code", "" if row.returncode is None else str(row.returncode)
    yield "reason", row.reason
    yield "stopped by", row.stopped_by
    yield "group", row.group
    yield "parameters", "  ".join(f"{name}={value}" for name, value in row.params.items())
    yield "submitted", clock_time(row.submitted_at)
    yield "started", clock_time(row.started_at)
    yield "ended", clock_time(row.ended_at)
    yield "waited", (duration if row.started_at or row.ended_at else growing)(row.wait_seconds)
    yield "ran", (duration if row.ended_at else growing)(row.run_seconds)
    yield "id", row.native_id
    yield "nodes", ", ".join(_share(share.node, share.cpus, share.gpus) for share in detail.placement)
    yield "command", detail.command_line
    yield "directory", detail.directory
    yield "stdout", detail.stdout
    yield "stderr", detail.stderr
    yield "batch job", detail.batch_job
    yield "script", detail.batch_script
    if detail.files is not None:
        for kind in ("copy", "symlink", "configure"):
            yield kind, shlex.join(getattr(detail.files, kind))
    yield "reads from", ", ".join(detail.incoming)
    yield "models", ", ".join(f"{each.name} ({each.backend}, {each.device})" for each in detail.ml_models)
    yield "scripts", ", ".join(f"{each.name} ({each.device})" for each in detail.ml_scripts)
    if len(detail.starts) > 1:
        yield "starts", "; ".join(map(_start, detail.starts))


def _share(node: str, cpus: Sequence[int], gpus: Sequence[int]) -> str:
    parts = [f"{kind} {','.join(map(str, numbers))}" for kind, numbers in (("CPUs", cpus), ("GPUs", gpus)) if numbers]
    return f"{node} ({'; '.join(parts)})" if parts else node


def _start(row: Row) -> str:
    return f"{clock_time(row.submitted_at)} {row.status}"
