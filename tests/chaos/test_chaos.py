"""The guarantees under attack, in short; `make chaos ROUNDS=10` is the long way."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.driver import Chaos
from tests.chaos.plan import NUMBERS, RoundPlan
from tests.chaos.system import Pace
from tests.integration.servers import TroubledServer

# A shorter lease than the product's 10 s: what a killed worker held comes back sooner.
_PACE = Pace(batch_s=0.06, lease_s=2.0)
_PLAN = RoundPlan(
    frames=4_000,
    worker_kills=10,
    worker_stops=2,
    producer_kills=1,
    producer_stops=1,
    reader_kills=1,
    wire_faults_of_each_kind=3,
    blips=6,
    partition_changes=2,
)


@pytest.mark.timeout(170)
def test_nothing_is_lost_doubled_or_stuck(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    server = TroubledServer("valkey", folder)
    with Chaos(server, tmp_path, seed=3, pace=_PACE) as chaos:
        result = chaos.run_round(_PLAN)
        verdict = chaos.finish()
    assert verdict.faults == []
    # It went wrong indeed, or there was nothing to survive.
    assert result.frames >= _PLAN.frames
    figures = verdict.figures
    assert figures["kill worker"] == _PLAN.worker_kills
    assert figures["kill server"] + figures["stop server"] == 2
    assert figures["worker kills with frames in hand"] > 0
    assert figures["redelivered"] > 0
    assert figures["poison"] == 4
    assert sum(figures.get(f"partitions {number}", 0) for number in NUMBERS) == 2
    assert figures["moves of a source"] > 0
    assert figures["moments at which conservation was checked"] > 100
