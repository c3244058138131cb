"""Traces of sampled frames, for a role that is asked for them; without, nothing is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contract.keys import Keys
from contract.process.command import explained_if_missing
from contract.process.trace_settings import read_trace_settings

if TYPE_CHECKING:
    from contract.process.otel import Tracer


def open_tracer(program: str, prefix: str) -> Tracer | None:
    """The tracer of this process, to be closed at its end; None where no exporter is named.

    `program` is the name of the service, unless the environment has another; `prefix` is that of
    the keys. Raises `UsageError` for a variable that cannot be used, and ends the process where the
    extra is missing.
    """
    settings = read_trace_settings()
    if settings is None:
        return None
    with explained_if_missing(program, "otel"):
        from contract.process.otel import Tracer

    # One name for all partitions: traces are looked for by it.
    stream = Keys(prefix).frames.replace("{0}", "{partition}")
    return Tracer(program, stream, settings)
