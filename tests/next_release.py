"""A role of the next release, whose wire has a version 2, for tests of upgrades.

``python -m tests.next_release MODULE FLAGS`` runs a module as ``python -m MODULE FLAGS`` does, in a
process where frames and events have one field more: `lens`, which version 2 cannot do without and
version 1 does not know. ``NEXT_SENDS=2`` in the environment makes it the release after that, which
also sends version 2.
"""

from __future__ import annotations

import os
import runpy
import sys
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from contract import event, frame, wire
from contract.event import EmotionEvent
from contract.frame import FrameMessage

LENS = "wide"
UNKNOWN = "unknown"  # what version 1 does not say


@dataclass(frozen=True, slots=True)
class NextFrame(FrameMessage):
    """lens   what the camera sees through"""

    lens: str = LENS


@dataclass(frozen=True, slots=True, kw_only=True)
class NextEvent(EmotionEvent):
    """lens   the frame's"""

    lens: str = LENS

    def to_dict(self) -> dict[str, Any]:
        return {**EmotionEvent.to_dict(self), "lens": self.lens}


def has_lens(message: wire.Message) -> bool:
    """A frame, or an event; source records stay as they are."""
    return message.get("kind", "frame") == "frame"


STEP = wire.Step(
    newer=lambda old: {**old, "lens": UNKNOWN} if has_lens(old) else old,
    older=lambda new: {key: value for key, value in new.items() if key != "lens"},
)


def become_next(sends: int) -> None:
    """Change `contract` for the rest of this process, before any role is imported."""
    assert not any(
        name.partition(".")[0] in ("worker", "producer", "consumer") for name in sys.modules
    )
    vars(wire).update(VERSION=2, READABLE_VERSIONS=frozenset({1, 2}), SENT_VERSION=sends, STEP=STEP)
    for module, checks in ((frame, "_CHECKS"), (event, "_EVENT")):
        vars(module)[checks] = {**vars(module)[checks], "lens": wire.name}
    vars(frame).update(FrameMessage=NextFrame, _values=attrgetter(*vars(frame)["_CHECKS"]))
    vars(event).update(EmotionEvent=NextEvent)


if __name__ == "__main__":
    become_next(int(os.environ.get("NEXT_SENDS", "1")))
    del sys.argv[0]  # what is left reads like the command of the module
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
