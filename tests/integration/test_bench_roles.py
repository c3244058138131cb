"""The benchmarks' system and start-up rounds, on real roles."""

from __future__ import annotations

from tests.benchmarks import start
from tests.benchmarks.start import Start
from tests.benchmarks.system import System


def test_a_round_starts_a_role_and_leaves_nothing_running() -> None:
    with System() as system:
        for role, modules, begin in (
            ("emotion-producer", ["producer.cli"], start._producer),
            ("emotion-events", ["consumer.cli"], start._events),
            ("emotion-view", ["consumer.view.cli"], start._view),
        ):
            found = start._rounds(system, Start(role, "it works"), modules, begin, 1)
            assert found.seconds[0] > 0
            assert found.imports[0] > 0
        assert system.total("published") == 0  # the last round began with an empty server
        assert not system._children
