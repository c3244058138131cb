"""A frame on its way through a worker: how it came, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from contract import keys as names
from contract.event import EmotionEvent
from contract.wire import Entry


@dataclass(frozen=True, slots=True)
class Delivery:
    """One entry of the frames stream of a partition, in our hands."""

    partition: int
    entry_id: bytes
    entry: Entry

    @property
    def name(self) -> str:
        """The entry's id, for log lines."""
        return self.entry_id.decode()


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a `delivery` ends.

    kind     "event": `body` is the encoded `event`. "dead": `body` is the reason, one word, and
             `detail` a sentence. "drop": nothing is kept but the count under `body`, the reason.
    event    what `body` encodes; stays here, for the metrics
    """

    delivery: Delivery
    kind: Literal["event", "dead", "drop"]
    body: bytes | str
    detail: str = ""
    event: EmotionEvent | None = None

    @property
    def stats_field(self) -> str:
        if self.kind == "drop":
            return f"{names.DROPPED}{self.body!s}"
        return names.EVENTS if self.kind == "event" else names.DEAD
