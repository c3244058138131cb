"""KEDA's own part: it looks at the triggers, wakes the first worker, sends the last ones to sleep.

Follows pkg/scalers/redis_streams_scaler.go (without a consumer group XLEN, with one and no
`lagCount` XPENDING; active means more than `activationLagCount`, 0) and RequestScale in
pkg/scaling/executor/scale_scaledobjects.go of KEDA 2.17. No clock: the time is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import redis

from contract.keys import WORKERS_GROUP, Keys
from tests.scaling.rules import ScaledObject


@dataclass(frozen=True, slots=True)
class Triggers:
    """What the two triggers read; None where Redis answered with an error."""

    length: int
    pending: int | None

    @property
    def is_active(self) -> bool:
        return self.length > 0 or bool(self.pending)

    @property
    def is_broken(self) -> bool:
        """A trigger cannot be read: KEDA then does not send anybody to sleep."""
        return self.pending is None


def read_triggers(client: redis.Redis, keys: Keys) -> Triggers:
    """Both triggers, as KEDA's scalers ask for them."""
    length: Any = client.xlen(keys.frames)
    try:
        summary: Any = client.xpending(keys.frames, WORKERS_GROUP)
    except redis.ResponseError as error:  # NOGROUP: no worker ever was here
        if "NOGROUP" not in str(error):
            raise
        return Triggers(length, None)
    return Triggers(length, summary["pending"])


class Keda:
    """Replicas 0 -> 1 at once when a trigger is active, to 0 when none was for `cooldown_s`."""

    def __init__(self, spec: ScaledObject) -> None:
        self._spec = spec
        self._last_active_s: float | None = None

    def poll(self, now_s: float, triggers: Triggers, replicas: int) -> int:
        """How many replicas there shall be."""
        if triggers.is_active:
            if replicas == 0 or not triggers.is_broken:
                self._last_active_s = now_s
            return max(replicas, 1)
        if replicas == 0 or triggers.is_broken:
            return replicas
        if self._last_active_s is None or now_s - self._last_active_s > self._spec.cooldown_s:
            return 0
        return replicas
