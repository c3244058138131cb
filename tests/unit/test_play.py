"""From flags to the chain and to what plays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from consumer.chain import ChainOptions
from consumer.people.gate import GateOptions
from consumer.people.smooth import SmoothOptions
from consumer.play import Play
from consumer.settings import EventsSettings
from consumer.steady_settings import SteadySettings
from contract.event import Box, EmotionEvent, FaceEmotion
from contract.process.settings import ProcessSettings
from contract.smoothed import Signal, Transition
from tests.signals import at, person
from tests.signals import event as steady_event

URL = "redis://127.0.0.1:1"  # nobody is there, and nobody is asked


def event(seq: int) -> EmotionEvent:
    face = FaceEmotion(Box(100, 50, 190, 160), 0.99, "happiness", {"happiness": 1.0}, 0.8, 0.5, 0.1)
    at_ns = at(seq / 10)
    return EmotionEvent("cam", "s", seq, at_ns, seq * 10**8, at_ns, 640, 480, "m", (face,))


def test_every_flag_of_steadiness_reaches_the_chain(tmp_path: Path) -> None:
    table = tmp_path / "affect.json"
    table.write_text(json.dumps({"happiness": [0.5, 0.25]}))
    given: dict[str, Any] = {
        "smoothing": "0.7s", "dwell": 3, "hysteresis": 0.2, "min_face": 48,
        "allow": ["blurred", "unsure", "printed", "brief", "erratic"], "forget": "4s",
        "lateness": "300ms", "merge": True, "affect": table,
    }  # fmt: skip
    assert given.keys() == SteadySettings.model_fields.keys() - ProcessSettings.model_fields.keys()
    options = EventsSettings.model_validate(given).chain_options()
    coordinates = options.smooth.coordinates
    assert coordinates["happiness"] == (0.5, 0.25)
    assert options == ChainOptions(
        lateness_s=0.3,
        merge=True,
        gate=GateOptions(48.0, 0, 0, 0, 0, 0),
        forget_s=4.0,
        smooth=SmoothOptions(0.7, 3.0, 0.2, coordinates),
    )


def test_without_flags_everything_is_as_the_parts_have_it() -> None:
    assert EventsSettings.model_validate({}).chain_options() == ChainOptions()


def test_rate_and_delay_reach_what_plays() -> None:
    def due_s(**flags: object) -> float:
        playout = Play(EventsSettings.model_validate(flags), URL, "p")._playout()
        playout.add(steady_event(0.0, person()), 50.0)
        due_s = playout.due_s()
        assert due_s is not None
        return due_s

    assert due_s(delay="800ms") - due_s(delay="300ms") == pytest.approx(0.5)
    playout = Play(EventsSettings.model_validate({"rate": "0Hz"}), URL, "p")._playout()
    assert len(playout.add(steady_event(0.0, person()), 50.0)) == 1


@pytest.mark.parametrize("speed", [0.01, 0.5, 1.0, 50.0])
def test_a_replay_is_the_same_at_any_speed(speed: float) -> None:
    """Slow is not silent, and frames that two workers exchanged are not late."""
    seqs = [0, 1, 2, 4, 3, 5, 6, 7, 9, 8, 10, 11]
    chain = Play(EventsSettings.model_validate({}), URL, "p", speed=speed).chain
    found: list[Signal] = []
    for number, seq in enumerate(seqs):
        now_s = 100.0 + number / 10 / speed
        while (due_s := chain.next_due_s()) is not None and due_s < now_s:
            found += chain.due(due_s)
        found += chain.put(event(seq), now_s)
    found += chain.flush(now_s)
    assert [s.change for s in found if isinstance(s, Transition)] == ["person_entered"]
    assert len(found) == len(seqs) + 1
    assert chain.late == chain.missing == 0
