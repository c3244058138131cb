"""KEDA's and the HPA's rules by numbers, without a process or a clock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from contract.keys import WORKERS_GROUP, Keys
from tests.chaos.process import REPOSITORY
from tests.scaling.hpa import HorizontalPodAutoscaler
from tests.scaling.keda import Keda, Triggers
from tests.scaling.rules import DEFAULT_UP, Behavior, Policy, ScaledObject
from tests.scaling.settings import CHOSEN

_SPEC = ScaledObject(stream_length=5, pending_entries=5, cooldown_s=300.0, max_replicas=10)


def _follow(spec: ScaledObject, backlogs: list[int], replicas: int) -> list[int]:
    """What the HPA makes of a backlog every 15 s."""
    hpa = HorizontalPodAutoscaler(spec)
    seen = []
    for number, backlog in enumerate(backlogs):
        replicas = hpa.sync(15.0 * number, [(backlog, 5), (0, 5)], replicas)
        seen.append(replicas)
    return seen


@pytest.mark.parametrize(
    ("backlog", "replicas", "expected"),
    [
        (21, 4, 4),  # 5 % over four times the target: tolerated
        (23, 4, 5),
        (16, 3, 3),
        (26, 2, 6),  # ceil(26 / 5)
        (0, 1, 1),  # below 1 is KEDA's
        (50, 0, 0),  # from 0 is KEDA's, too
    ],
)
def test_hpa_demands_the_backlog_divided_by_the_target(
    backlog: int, replicas: int, expected: int
) -> None:
    assert _follow(_SPEC, [backlog], replicas) == [expected]


def test_hpa_doubles_or_adds_four_in_15_s_and_stops_at_the_maximum() -> None:
    assert _follow(_SPEC, [1000, 1000, 1000], 1) == [5, 10, 10]
    assert _follow(replace(_SPEC, max_replicas=100), [1000, 1000, 1000], 5) == [10, 20, 40]


def test_hpa_follows_the_highest_of_five_minutes_down() -> None:
    seen = _follow(_SPEC, [20, *[1] * 21], 1)
    assert seen == [4] * 20 + [1] * 2


def test_hpa_sends_one_worker_away_a_minute_if_told_so() -> None:
    slow = replace(_SPEC, down=Behavior(0.0, (Policy("Pods", 1, 60.0),)))
    assert _follow(slow, [1] * 9, 4) == [3, 3, 3, 3, 2, 2, 2, 2, 1]


def test_hpa_ignores_one_burst_if_told_so() -> None:
    calm = replace(_SPEC, up=Behavior(20.0, _SPEC.up.policies))
    assert _follow(calm, [5, 50, 5, 50, 50], 1) == [1, 1, 1, 1, 5]


def test_hpa_does_not_go_down_while_a_trigger_cannot_be_read() -> None:
    spec = replace(_SPEC, down=Behavior(0.0, _SPEC.down.policies))
    hpa = HorizontalPodAutoscaler(spec)
    assert hpa.sync(0.0, [(1, 5), (None, 5)], 4) == 4
    assert hpa.sync(15.0, [(30, 5), (None, 5)], 4) == 6
    assert hpa.sync(30.0, [(1, 5), (0, 5)], 6) == 1


def test_keda_wakes_at_one_frame_and_sleeps_after_the_cooldown() -> None:
    keda = Keda(_SPEC)
    assert keda.poll(0.0, Triggers(0, None), 0) == 0
    assert keda.poll(30.0, Triggers(1, None), 0) == 1
    assert keda.poll(60.0, Triggers(0, 0), 3) == 3
    assert keda.poll(90.0, Triggers(0, 1), 3) == 3  # pending entries count, too
    assert keda.poll(390.0, Triggers(0, 0), 3) == 3
    assert keda.poll(391.0, Triggers(0, 0), 3) == 0


def test_keda_sends_nobody_to_sleep_while_a_trigger_cannot_be_read() -> None:
    keda = Keda(_SPEC)
    assert keda.poll(0.0, Triggers(1, 0), 1) == 1
    assert keda.poll(1000.0, Triggers(0, None), 1) == 1
    assert keda.poll(1030.0, Triggers(0, 0), 1) == 0


def test_keda_does_not_note_activity_while_the_other_trigger_cannot_be_read() -> None:
    keda = Keda(_SPEC)
    assert keda.poll(0.0, Triggers(1, None), 0) == 1
    assert keda.poll(200.0, Triggers(1, None), 1) == 1
    assert keda.poll(301.0, Triggers(0, 0), 1) == 0


def test_the_cluster_gets_what_the_simulation_chose() -> None:
    manifest = REPOSITORY / "deploy" / "k8s" / "operators" / "worker-scaling.yaml"
    spec = next(yaml.safe_load_all(manifest.read_text("utf-8")))["spec"]
    backlog, pending = (trigger["metadata"] for trigger in spec["triggers"])
    assert backlog["stream"] == pending["stream"] == Keys().frames
    assert "consumerGroup" not in backlog
    assert pending["consumerGroup"] == WORKERS_GROUP
    assert spec["minReplicaCount"] == 0
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert CHOSEN.spec == ScaledObject(
        stream_length=int(backlog["streamLength"]),
        pending_entries=int(pending["pendingEntriesCount"]),
        polling_s=spec["pollingInterval"],
        cooldown_s=spec["cooldownPeriod"],
        max_replicas=spec["maxReplicaCount"],
        up=_behavior(behavior["scaleUp"]),
        down=_behavior(behavior["scaleDown"]),
    )


def _behavior(direction: dict[str, Any]) -> Behavior:
    policies = [
        Policy(policy["type"], policy["value"], policy["periodSeconds"])
        for policy in direction.get("policies", ())
    ]
    return Behavior(direction["stabilizationWindowSeconds"], tuple(policies) or DEFAULT_UP.policies)
