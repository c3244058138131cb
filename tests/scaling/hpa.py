"""The Horizontal Pod Autoscaler's arithmetic, for external metrics of type AverageValue.

Follows pkg/controller/podautoscaler of Kubernetes 1.26 and later: in replica_calculator.go
GetExternalPerPodMetricReplicas; in horizontal.go stabilizeRecommendationWithBehaviors,
convertDesiredReplicasWithBehaviorRate and calculateScale{Up,Down}Limit... No I/O and no clock: the
time is passed in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.scaling.rules import HPA_TOLERANCE, Policy, ScaledObject


class HorizontalPodAutoscaler:
    """What KEDA makes of a `ScaledObject`: it moves replicas between 1 and the maximum."""

    def __init__(self, spec: ScaledObject) -> None:
        self._spec = spec
        self._recommended: list[tuple[float, int]] = []  # when, how many
        self._changed: list[tuple[float, int]] = []  # when, by how many (up is positive)

    def sync(self, now_s: float, metrics: Sequence[tuple[int | None, int]], replicas: int) -> int:
        """How many replicas there shall be. `metrics`: each value, None if it cannot be read, with
        its target for one replica."""
        if replicas == 0:
            return 0  # "ScalingDisabled": only KEDA wakes it
        if not self._recommended:
            self._recommended.append((now_s, replicas))
        wanted = self._wanted(metrics, replicas)
        if wanted is None:
            return replicas
        stable = self._stabilized(now_s, wanted, replicas)
        allowed = self._limited(now_s, stable, replicas)
        if allowed != replicas:
            self._changed.append((now_s, allowed - replicas))
        return allowed

    def _wanted(self, metrics: Sequence[tuple[int | None, int]], replicas: int) -> int | None:
        """The largest demand of all metrics. One that cannot be read forbids going down."""
        demands = [
            _demand(value, target, replicas) for value, target in metrics if value is not None
        ]
        if not demands or (len(demands) < len(metrics) and max(demands) < replicas):
            return None
        return max(demands)

    def _stabilized(self, now_s: float, wanted: int, replicas: int) -> int:
        up, down = self._spec.up.stabilization_s, self._spec.down.stabilization_s
        lowest = min([wanted, *(n for at_s, n in self._recommended if at_s > now_s - up)])
        highest = max([wanted, *(n for at_s, n in self._recommended if at_s > now_s - down)])
        horizon_s = now_s - max(up, down)
        self._recommended = [item for item in self._recommended if item[0] >= horizon_s]
        self._recommended.append((now_s, wanted))
        return min(max(replicas, lowest), highest)

    def _limited(self, now_s: float, stable: int, replicas: int) -> int:
        if stable > replicas:
            most = max(self._rises_to(now_s, p, replicas) for p in self._spec.up.policies)
            return min(stable, max(most, replicas), self._spec.max_replicas)
        if stable < replicas:
            least = min(self._falls_to(now_s, p, replicas) for p in self._spec.down.policies)
            return max(stable, min(least, replicas), 1)
        return stable

    def _rises_to(self, now_s: float, policy: Policy, replicas: int) -> int:
        begin = self._at_begin_of(now_s, policy, replicas)
        if policy.kind == "Pods":
            return begin + policy.value
        return math.ceil(begin * (1 + policy.value / 100))

    def _falls_to(self, now_s: float, policy: Policy, replicas: int) -> int:
        begin = self._at_begin_of(now_s, policy, replicas)
        if policy.kind == "Pods":
            return begin - policy.value
        return int(begin * (1 - policy.value / 100))

    def _at_begin_of(self, now_s: float, policy: Policy, replicas: int) -> int:
        """Replicas at the beginning of the policy's period."""
        return replicas - sum(by for at_s, by in self._changed if at_s > now_s - policy.period_s)


def _demand(value: int, target: int, replicas: int) -> int:
    if abs(1.0 - value / (target * replicas)) <= HPA_TOLERANCE:
        return replicas
    return math.ceil(value / target)
