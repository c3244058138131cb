"""The same seed draws the same faults."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

from tests.chaos.plan import Fault, RoundPlan


def test_a_seed_is_a_plan() -> None:
    plan = RoundPlan()
    assert plan.draw(random.Random(5)) == plan.draw(random.Random(5))
    assert plan.draw(random.Random(5)) != plan.draw(random.Random(6))


def test_everything_asked_for_is_in_the_plan() -> None:
    drawn = Counter(RoundPlan(worker_kills=7, poison_of_each_kind=2).draw(random.Random(1)))
    assert drawn[Fault("kill", "worker")] == 7
    assert drawn[Fault("poison", "kill")] == 2
    assert drawn[Fault("wire", "eat reply")] == 6


def test_each_change_of_the_number_of_partitions_is_one() -> None:
    faults = RoundPlan(partition_changes=30).draw(random.Random(2), partitions=3)
    numbers = [3, *(int(fault.whom) for fault in faults if fault.what == "partitions")]
    assert len(numbers) == 31
    assert set(numbers) == {1, 2, 3, 4}
    assert all(before != after for before, after in pairwise(numbers))
