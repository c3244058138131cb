"""Lets everything go wrong, one fault after the other, and asks at the end what became of it."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import cast

from contract.connect import connect
from tests.chaos.evidence import read_evidence
from tests.chaos.plan import Fault, RoundPlan
from tests.chaos.poisoner import Poisoner
from tests.chaos.process import KeptProcess
from tests.chaos.proxy import FaultyProxy, WireFault
from tests.chaos.sight import Sight
from tests.chaos.system import LIVE, LOSSLESS, SOURCES, STOP_S, Pace, System
from tests.chaos.verdict import Verdict, judge_live, judge_lossless, judge_poison, judge_readers
from tests.integration.servers import TroubledServer
from tests.poison import EXIT_CODE

_LOOK_S = 0.1
# Nothing moved for so long: something waits for ever. Sources that move wait for what is left of
# them, of which one frame may be poison: four leases and starts of a worker on a busy machine.
_STUCK_S = 120.0


class Stuck(Exception):
    """Frames stopped flowing."""


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What one round did."""

    number: int
    frames: int
    seconds: float
    faults: dict[str, int]


class Chaos:
    """One system under attack, on `server`; a context manager, which starts both.

    `totals` counts the faults, `kills_with_frames` those kills that hit a worker which held frames.
    """

    def __init__(self, server: TroubledServer, folder: Path, *, seed: int, pace: Pace) -> None:
        self._server = server
        self._folder = folder
        self._pace = pace
        self._dice = random.Random(seed)
        self._proxy = FaultyProxy(server.port)
        self._client = connect(f"redis://127.0.0.1:{server.port}", retries=0)
        self._rounds = 0
        self._sight = Sight(self._client)
        self.totals: Counter[str] = Counter()
        self.kills_with_frames = 0
        self._bad_stops: list[str] = []
        self._frozen: list[tuple[float, KeptProcess]] = []  # until when (monotonic), who

    def __enter__(self) -> Chaos:
        with ExitStack() as stack:
            stack.callback(self._client.close)
            stack.enter_context(self._server)
            stack.enter_context(self._proxy)
            url = f"redis://127.0.0.1:{self._proxy.port}"
            self._system = System(url, self._folder, self._pace)
            stack.callback(self._system.abandon)
            self._poisoner = Poisoner(url, LOSSLESS, max_backlog=1000)
            stack.callback(self._poisoner.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def run_round(self, plan: RoundPlan) -> RoundResult:
        """All faults of `plan`, spread evenly over its frames. Raises `Stuck`."""
        self._rounds += 1
        before, started_s = self.totals.copy(), time.monotonic()
        begin = self._sight.published()
        faults = plan.draw(self._dice, self._sight.partitions)
        for number, fault in enumerate(faults, start=1):
            self._flow_until(begin + plan.frames * number // (len(faults) + 1))
            self._do(fault)
        self._flow_until(begin + plan.frames)
        return RoundResult(
            self._rounds,
            self._sight.published() - begin,
            time.monotonic() - started_s,
            dict(self.totals - before),
        )

    def finish(self) -> Verdict:
        """End the producers, wait until everything is settled and read, and judge."""
        system = self._system
        verdict = Verdict()
        self._poisoner.end()
        self._wait(lambda: self._poisoner.is_idle, "a poison frame was not taken")
        for prefix in (LOSSLESS, LIVE):
            self._wait(partial(self._sight.is_settled, prefix), f"{prefix}: sources have not moved")
        for producer in (*system.producers, system.camera):
            # One that has just been started does not listen to signals yet.
            self._wait_ready(producer)
            self._stop(producer, respawn=False)
        self._wait(lambda: not self._frozen, "nobody thaws")
        self._wait(self._sight.is_drained, "the backlog did not drain")
        for worker in system.workers:
            self._wait_ready(worker)
        events = len(set(read_evidence(self._client, LOSSLESS).events))
        for reader in (system.reader, system.member):
            self._wait(
                lambda reader=reader: len(set(system.handed_out(reader))) >= events,  # type: ignore[misc]
                f"{reader.name} did not get all events",
            )
        for process in (*system.workers, system.reader, system.member):
            self._stop(process, respawn=False)

        found = read_evidence(self._client, LOSSLESS)
        judge_lossless(found, verdict)
        judge_live(read_evidence(self._client, LIVE), verdict)
        judge_poison(found, self._poisoner.sent, verdict)
        judge_readers(
            found,
            system.handed_out(system.reader),
            system.handed_out(system.member),
            self.totals["kill reader"],
            verdict,
        )
        sight = self._sight
        verdict.expect(
            (found.layout.partitions, found.layout.streams) == (sight.partitions, sight.streams),
            f"{sight.partitions} partitions asked for, at most {sight.streams}: {found.layout}",
        )
        verdict.expect(
            not sight.broken_moments, f"conservation did not hold: {sight.broken_moments[:3]}"
        )
        verdict.faults += self._bad_stops
        for process in system.processes:
            allowed = {-9, EXIT_CODE} if process in system.workers else set()
            unexpected = [code for code in process.ended_alone if code not in allowed]
            verdict.expect(
                not unexpected,
                f"{process.name} ended by itself with {unexpected}:\n{process.last_lines()}",
            )
        crashes = sum(len(worker.ended_alone) for worker in system.workers)
        verdict.figures |= {
            "workers killed by poison": crashes,
            "worker kills with frames in hand": self.kills_with_frames,
            "starts while no server was there": sum(p.came_too_soon for p in system.processes),
            "moments at which conservation was checked": sight.conservation_checks,
            **self.totals,
        }
        return verdict

    def _do(self, fault: Fault) -> None:
        system, dice = self._system, self._dice
        self.totals[f"{fault.what} {fault.whom}"] += 1
        match fault:
            case Fault("wire", kind):
                self._proxy.hurt(cast(WireFault, kind), dice)
            case Fault("blip", kind):
                self._proxy.hurt_all(cast(WireFault, kind))
            case Fault("poison", how):
                self._poisoner.send(how)
            case Fault(how, "server"):
                (self._server.kill if how == "kill" else self._server.stop)()
                time.sleep(dice.uniform(0.0, 1.0))  # so long nobody is there
                self._server.start()
            case Fault("partitions", number):
                for prefix in (LOSSLESS, LIVE):
                    changed = partial(self._sight.has_changed, prefix, int(number))
                    self._wait(changed, f"{prefix}: nobody heard of {number} partitions")
            case Fault("kill", "reader"):
                system.member.kill()
            case Fault(how, whom):
                frozen = [process for _, process in self._frozen]
                group = system.workers if whom == "worker" else system.producers
                victim = dice.choice([process for process in group if process not in frozen])
                self._wait_ready(victim)
                if how == "stop":
                    self._stop(victim)
                    return
                if how == "freeze":
                    victim.freeze()
                    self._frozen.append((time.monotonic() + 1.5 * self._pace.lease_s, victim))
                    return
                if whom == "worker" and (said := victim.said("ready")):
                    self.kills_with_frames += self._sight.holds_frames(said["worker"])
                victim.kill()

    def _stop(self, process: KeptProcess, *, respawn: bool = True) -> None:
        """SIGTERM must end it in time and with 0."""
        code = process.stop(STOP_S) if respawn else process.end(STOP_S)
        if code != 0 and code not in process.ended_alone:
            self._bad_stops.append(f"{process.name} was stopped and ended with {code}")

    def _flow_until(self, published: int) -> None:
        """Let it run until so many frames were published. Raises `Stuck` when nothing moves."""
        last, moved_s = -1, time.monotonic()
        while True:
            self._keep()
            now = self._sight.published()
            if now >= published:
                return
            if now != last:
                last, moved_s = now, time.monotonic()
            if time.monotonic() - moved_s > _STUCK_S:
                raise Stuck(f"no frame was published for {_STUCK_S:g} s: {self._describe()}")
            time.sleep(_LOOK_S)

    def _keep(self) -> None:
        """Start again what ended by itself, and thaw what was frozen for longer than a lease."""
        self._system.keep()
        now_s = time.monotonic()
        for until_s, process in self._frozen:
            if now_s >= until_s:
                process.thaw()
        self._frozen = [frozen for frozen in self._frozen if frozen[0] > now_s]

    def _wait_ready(self, process: KeptProcess) -> None:
        self._wait(lambda: process.is_ready, f"{process.name} is not ready")

    def _wait(self, predicate: Callable[[], bool], otherwise: str) -> None:
        deadline_s = time.monotonic() + 2 * _STUCK_S
        while not predicate():
            self._keep()
            if time.monotonic() > deadline_s:
                raise Stuck(f"{otherwise}: {self._describe()}")
            time.sleep(_LOOK_S)

    def _describe(self) -> dict[str, object]:
        return {
            "partitions": self._sight.partitions,
            **{prefix: list(map(asdict, self._sight.counts(prefix))) for prefix in SOURCES},
            "ready": {process.name: process.is_ready for process in self._system.processes},
        }
