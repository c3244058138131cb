"""A whole system as processes on one server, for tests that put the server in trouble."""

from __future__ import annotations

import json
import signal
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import redis
from prometheus_client.parser import text_string_to_metric_families

from contract.event import EmotionEvent, decode_record
from contract.keys import Keys
from tests.integration.processes import RoleProcess

KEYS = Keys()
BEGINS, ENDS = "no answer from Redis, waiting", "Redis is back after"


class System:
    """A producer, a worker, a reader and a member of a group on one server; a context manager."""

    def __init__(self, url: str, clip: Path, folder: Path) -> None:
        self.printed = {name: folder / f"{name}.jsonl" for name in ("reader", "group")}
        service = ("--redis", url, "--metrics-port", "0")
        events = ("--redis", url, "--format", "jsonl", "--from", "beginning")
        self._stack = ExitStack()
        self.roles = {
            name: self._stack.enter_context(role)
            for name, role in {
                "worker": RoleProcess("tests.paced_worker", *service),
                "reader": RoleProcess("consumer", *events, stdout=self.printed["reader"]),
                "group": RoleProcess(
                    "consumer", *events, "--group", "g", stdout=self.printed["group"]
                ),
                "producer": RoleProcess("producer", str(clip), "--loop", *service),
            }.items()
        }

    def __enter__(self) -> System:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)  # type: ignore[arg-type]

    def said(self, words: str) -> dict[str, int]:
        """How many lines of each role hold these words."""
        return {
            name: sum(words in line for line in list(role.lines))
            for name, role in self.roles.items()
        }

    def outages_by_metric(self, name: str) -> float:
        url = self.roles[name].log("serving metrics")["url"]
        with urllib.request.urlopen(f"{url}/metrics", timeout=10) as reply:
            families = text_string_to_metric_families(reply.read().decode())
            values = {s.name: s.value for family in families for s in family.samples}
        return values["emotion_redis_outages_total"]

    def read(self, name: str) -> list[str]:
        """The ids of the events that a reader has printed, in order."""
        text = self.printed[name].read_text("utf-8")
        return [json.loads(line)["id"] for line in text.splitlines(keepends=True) if "\n" in line]

    def end(self, name: str) -> None:
        self.roles[name].send(signal.SIGTERM)
        assert self.roles[name].wait(30) == 0


def published_ids(client: redis.Redis) -> list[str]:
    """The ids of all events in the stream, in order."""
    records = [decode_record(entry) for _, entry in client.xrange(KEYS.events)]
    return [record.id for record in records if isinstance(record, EmotionEvent)]
