"""What an operator writes into a ScaledObject, with the names and defaults of KEDA and Kubernetes.

Times are seconds of KEDA's clock, whatever the simulation makes of them.
Sources: keda.sh/docs/2.17/reference/scaledobject-spec (pollingInterval, cooldownPeriod) and
kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale (behavior, its defaults).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HPA_SYNC_S = 15.0  # kube-controller-manager --horizontal-pod-autoscaler-sync-period
HPA_TOLERANCE = 0.1  # kube-controller-manager --horizontal-pod-autoscaler-tolerance


@dataclass(frozen=True, slots=True)
class Policy:
    """At most `value` pods, or per cent of the pods there were, within `period_s`."""

    kind: Literal["Pods", "Percent"]
    value: int
    period_s: float


@dataclass(frozen=True, slots=True)
class Behavior:
    """One direction: the window whose most cautious recommendation counts, and how fast it may go
    (the policy that allows most counts: `selectPolicy: Max`)."""

    stabilization_s: float
    policies: tuple[Policy, ...]


DEFAULT_UP = Behavior(0.0, (Policy("Percent", 100, 15.0), Policy("Pods", 4, 15.0)))
DEFAULT_DOWN = Behavior(300.0, (Policy("Percent", 100, 15.0),))


@dataclass(frozen=True, slots=True)
class ScaledObject:
    """Two `redis-streams` triggers on one frames stream, and how their figures are followed.

    stream_length    frames in the stream for each worker (trigger without a consumer group)
    pending_entries  frames in workers' hands for each worker (trigger with the group)
    max_replicas     `maxReplicaCount`; `minReplicaCount` is 0
    """

    stream_length: int = 5
    pending_entries: int = 5
    polling_s: float = 30.0
    cooldown_s: float = 300.0
    max_replicas: int = 100
    up: Behavior = DEFAULT_UP
    down: Behavior = DEFAULT_DOWN
