"""The whole pipeline through a real server: `emotion-up --no-realtime`, measured by its events."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.benchmarks.run import Run
from tests.benchmarks.usage import run_module
from tests.benchmarks.variant import Variant

# The worker's log line "ready", as emotion-up passes it on.
_READY = re.compile(
    r"^worker.*\bready\b.*\bengine (?P<engine>[\w.-]+)(, precision (?P<precision>.+?), reason\b)?",
    re.MULTILINE,
)


def run_pipeline(clip: Path, variant: Variant, flags: Sequence[str] = ()) -> Run:
    """From the first frame's capture to the last event's publication; producer, server, workers
    and reader share the machine. Raises `CommandFailed`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "events.jsonl"
        finished, usage = run_module(
            "deploy.local",
            [str(clip), "--no-realtime", "--quiet", "--log-level", "info",
             "--events", str(file), *flags],
            variant.environment,
        )  # fmt: skip
        events = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    events = [event for event in events if event["kind"] == "frame"]
    begin_ns = min(event["captured_at_ns"] for event in events)
    end_ns = max(event["published_at_ns"] for event in events)
    return Run(
        frames=len(events),
        faces=sum(len(event["faces"]) for event in events),
        begin_ns=begin_ns,
        end_ns=end_ns,
        cpu_s=usage.cpu_between(begin_ns, end_ns),
        rss=usage.rss,
        largest_rss=usage.largest_rss,
        engine=engine_in(finished.stderr),
    )


def engine_in(log: str) -> str:
    """What the worker says that it runs its networks on, as `engine_name` puts it; "" if nothing
    is said."""
    ready = _READY.search(log)
    return "" if ready is None else engine_name(ready.groupdict())


def engine_name(info: Mapping[str, str | None]) -> str:
    """``openvino bfloat16``: `engine` and `precision`, if there is one."""
    return " ".join(filter(None, (info.get("engine"), info.get("precision"))))
