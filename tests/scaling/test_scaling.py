"""Workers come and go with the cameras, in short; `make scale` is the long way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.scaling.rules import DEFAULT_DOWN, ScaledObject
from tests.scaling.simulation import Load, Simulation

# A minute of KEDA's clock in a second, and every window as short as the noise of two cores bears.
_FACTOR = 60.0
_SPEC = ScaledObject(
    stream_length=2, pending_entries=2, polling_s=15.0, cooldown_s=180.0, max_replicas=3,
    down=replace(DEFAULT_DOWN, stabilization_s=240.0),
)  # fmt: skip
_LOAD = Load(fps=30.0, batch_size=2, lease_s=1.0)
_IN_HAND = 2


@pytest.mark.timeout(170)
def test_workers_follow_the_cameras_and_lose_nothing(redis_url: str, tmp_path: Path) -> None:
    with Simulation(redis_url, tmp_path, _SPEC, _LOAD, factor=_FACTOR) as run:
        run.phase("1 camera", 1)
        run.run_until(lambda: len(run.ids) > 10, "the first camera wakes a worker")
        # What waited for it woke others, too.
        run.run_until(lambda: run.workers.replicas == 1, "one worker is enough for one camera")
        run.phase("5 cameras", 5)
        run.run_until(lambda: run.workers.ready == _SPEC.max_replicas, "more cameras, more workers")
        run.run_until(lambda: run.timeline.looks[-1].waiting == 0, "the backlog is worked off")
        run.run_for(_SPEC.down.stabilization_s)
        run.phase("no camera", 0)
        run.run_until(run.is_asleep, "nothing to do, no worker")

        run.lose_a_worker("lost", _IN_HAND)
        left = run.snapshot()
        # Nothing is unread: a trigger on the group's lag would let them lie.
        assert (left.backlog, left.pending) == (_IN_HAND, _IN_HAND)
        run.run_until(run.is_asleep, "what the lost worker had in hand wakes another")

        run.lose_a_worker("trimmed", _IN_HAND)
        run.trim()
        left = run.snapshot()
        # Only the trigger on pending entries sees them now.
        assert (left.backlog, left.pending) == (0, _IN_HAND)
        run.run_until(lambda: run.snapshot().pending == 0, "trimmed entries wake a worker")
        run.run_until(run.is_asleep, "and it goes again")
        end = run.snapshot()

    steps = {name: run.timeline.of(name) for name, _ in run.timeline.phases[1:]}
    assert {name: (step.rises, step.falls) for name, step in steps.items()} == {
        "5 cameras": (1, 0),
        "no camera": (0, 1),
        "lost": (1, 1),
        "trimmed": (1, 1),
    }, run.timeline.changes
    assert run.workers.bad_ends == []

    assert run.broken_moments == []
    assert end.unaccounted == 0
    assert end.dropped == {"trimmed": _IN_HAND}
    assert end.published == run.sent == end.events + _IN_HAND
    assert (len(run.ids), run.doubled) == (end.events, 0)
