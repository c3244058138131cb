"""The whole pipeline through a real server: `emotion-up --no-realtime`, measured by its events."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.run import Run
from tests.benchmarks.usage import run_module
from tests.benchmarks.variant import Variant

# The worker's log line "ready", as emotion-up passes it on.
_ENGINE = re.compile(r"^worker.*\bready\b.*\bengine ([\w.-]+)", re.MULTILINE)


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
    engine = _ENGINE.search(finished.stderr)
    return Run(
        frames=len(events),
        faces=sum(len(event["faces"]) for event in events),
        begin_ns=begin_ns,
        end_ns=end_ns,
        cpu_s=usage.cpu_between(begin_ns, end_ns),
        rss=usage.rss,
        largest_rss=usage.largest_rss,
        engine=engine[1] if engine else "",
    )
