"""The settings that `make scale` compares."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.scaling.rules import DEFAULT_UP, Behavior, Policy, ScaledObject


@dataclass(frozen=True, slots=True)
class Setting:
    """A `spec` and its `name` in tables and pictures."""

    name: str
    spec: ScaledObject


# What deploy/k8s should have. streamLength: about one batch, which is what a worker at two thirds
# of its speed has in hand. Up: two looks of the HPA in a row, so that one burst starts nobody; then
# as fast as Kubernetes likes. Down: one worker a minute, for with enough workers the backlog looks
# much the same as with too many.
CHOSEN = Setting(
    "5",
    ScaledObject(
        stream_length=5,
        pending_entries=5,
        polling_s=2.0,
        max_replicas=8,
        up=Behavior(20.0, DEFAULT_UP.policies),
        down=Behavior(300.0, (Policy("Pods", 1, 60.0),)),
    ),
)
OTHERS = (
    Setting("5, HPA's defaults", ScaledObject(5, 5, polling_s=2.0, max_replicas=8)),
    Setting("20", replace(CHOSEN.spec, stream_length=20, pending_entries=20)),
    Setting("50", replace(CHOSEN.spec, stream_length=50, pending_entries=50)),
)
# For one camera so slow that its frames are mostly done when KEDA looks: XLEN is sampled, and a
# camera that keeps time meets KEDA's clock at the same phase again and again, however often it
# looks. Where that must not happen, `minReplicaCount` is 1.
QUIET = (
    Setting("poll every 2 s", CHOSEN.spec),
    Setting("poll every 30 s (KEDA's default)", replace(CHOSEN.spec, polling_s=30.0)),
)
