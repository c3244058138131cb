"""What will go wrong, drawn from a seed. No I/O."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.chaos.proxy import WIRE_FAULTS
from tests.poison import HOWS

NUMBERS = (1, 2, 3, 4)  # of partitions


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong: `what` is done to `whom`."""

    what: str
    whom: str = ""


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """How much of everything goes wrong in one round, while at least `frames` are published."""

    frames: int = 10_000
    worker_kills: int = 20
    worker_stops: int = 4
    server_kills: int = 1
    server_stops: int = 1
    producer_kills: int = 2
    producer_stops: int = 2
    reader_kills: int = 2
    worker_freezes: int = 2
    wire_faults_of_each_kind: int = 6
    blips: int = 4
    poison_of_each_kind: int = 1
    partition_changes: int = 4

    def draw(self, dice: random.Random, partitions: int = 1) -> list[Fault]:
        """All faults of the round in the order they happen in: the same for equal dice. There are
        so many `partitions` before, and each change is one."""
        faults = [
            *[Fault("kill", "worker")] * self.worker_kills,
            *[Fault("stop", "worker")] * self.worker_stops,
            *[Fault("freeze", "worker")] * self.worker_freezes,
            *[Fault("kill", "server")] * self.server_kills,
            *[Fault("stop", "server")] * self.server_stops,
            *[Fault("kill", "producer")] * self.producer_kills,
            *[Fault("stop", "producer")] * self.producer_stops,
            *[Fault("kill", "reader")] * self.reader_kills,
            *[Fault("partitions")] * self.partition_changes,
        ]
        for wire_fault in WIRE_FAULTS:
            faults += [Fault("wire", wire_fault)] * self.wire_faults_of_each_kind
        # The next reply to everybody is lost: so it also hits the rare ones.
        faults += [Fault("blip", "eat reply")] * self.blips
        for how in (*HOWS, "broken"):
            faults += [Fault("poison", how)] * self.poison_of_each_kind
        dice.shuffle(faults)
        for at, fault in enumerate(faults):
            if fault == Fault("partitions"):
                partitions = dice.choice([number for number in NUMBERS if number != partitions])
                faults[at] = Fault("partitions", str(partitions))
        return faults
