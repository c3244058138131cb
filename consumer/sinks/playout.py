"""From signals at uneven times to control frames at an even pace. No I/O and no clock.

It is the playout buffer of RTP receivers (RFC 3550, section 6.4.1, measures its jitter), with
interpolation instead of packets: what a frame holds depends on capture times alone, when it is
played on arrivals.
"""

from __future__ import annotations

import math
from fractions import Fraction

from consumer.sinks.control import ControlFrame
from consumer.sinks.delay import Delay
from consumer.sinks.resampler import INTERPOLATE_S, Resampler
from contract.smoothed import Signal, SmoothedEvent

STOPPED_S = 1.0  # nothing came for so long: the source stands still, and is not merely late
FORGET_S = 60.0  # a source that fell silent without a word
SKIP_S = 0.5  # further behind than this, moments are left out; else the pace makes up for it
SLEW = 0.01  # of a period


class Playout:
    """Control frames of any number of sources, `rate_hz` a second for each.

    Tick k stands for the capture time ``T_k = k * speed / rate_hz`` since the epoch, on the
    source's own clock, and is played at ``T_k`` plus an offset (see `Delay`). So two runs over the
    same signals give the same frames, however unevenly they came, as long as they came in time.

    What was not there in time is held: the last frame is played again and counted in `underruns`.
    With an automatic delay `T_k` is played a period later instead, and so is all that follows; the
    delay shrinks again by 1 % of each period. With a fixed one the moment is lost, not its changes.
    A source that stands still is held too; one that ended or went dark is played to its end.

    rate_hz   0 = no playout: every signal is a frame of its own, at once
    delay_s   fixed, from the quickest capture-to-arrival of late to the playing; None = automatic
    speed     how fast the capture clock runs, in a replay
    """

    def __init__(
        self, rate_hz: float = 10.0, delay_s: float | None = None, speed: float = 1.0
    ) -> None:
        if not 0 <= rate_hz < math.inf or not 0 < speed < math.inf:
            raise ValueError(f"expected rate >= 0 and speed > 0, got {rate_hz} and {speed}")
        Delay(delay_s)
        self._rate_hz = rate_hz
        self._delay_s = delay_s
        self._speed = speed
        self._sources: dict[str, _Source] = {}
        self.underruns = 0
        self.skipped = 0
        self.late = 0

    def add(self, signal: Signal, now_s: float) -> list[ControlFrame]:
        """Take a signal that came at monotonic `now_s`; the frames that need not wait for a tick:
        changes before a source's first event, and the rest of a session that is over."""
        if self._rate_hz == 0:
            return [immediate(signal)]
        source = self._sources.get(signal.source)
        if not isinstance(signal, SmoothedEvent):
            if source is None:
                return [immediate(signal)]
            source.resampler.mark(signal)
            return []
        rest = []
        if source is not None and source.resampler.is_behind(signal):
            rest.append(source.resampler.rest())
            source = None
        if source is None:
            source = self._sources[signal.source] = _Source(
                signal, self._rate_hz, self._speed, Delay(self._delay_s)
            )
        source.see(signal, now_s)
        self.late += source.take_late()
        return rest

    def due_s(self) -> float | None:
        """When the next frame is due, monotonic; None while there is no source."""
        return min((source.due_s for source in self._sources.values()), default=None)

    def tick(self, now_s: float) -> list[ControlFrame]:
        """The frames that are due, at most one of each source."""
        frames = []
        for name, source in list(self._sources.items()):
            if source.due_s <= now_s:
                frame = source.play(now_s)
                self.underruns += source.is_short
                self.skipped += source.skipped
                if frame is not None:
                    frames.append(frame)
                if source.is_over(now_s):
                    del self._sources[name]
        return frames

    def finish(self) -> list[ControlFrame]:
        """A last frame of each source, with all that was not told yet."""
        frames = [source.resampler.rest() for source in self._sources.values()]
        self._sources.clear()
        return frames


def immediate(signal: Signal) -> ControlFrame:
    """A signal as a frame of its own."""
    if isinstance(signal, SmoothedEvent):
        return ControlFrame(signal.source, signal.captured_at_ns, signal.people, signal.room)
    return ControlFrame(signal.source, signal.at_ns, None, None, (signal,))


class Ticks:
    """Capture times at a fixed rate: multiples of the period since the epoch."""

    def __init__(self, rate_hz: float, speed: float = 1.0) -> None:
        period = Fraction(speed) / Fraction(rate_hz)
        self._period_ns = period.limit_denominator(1_000_000) * 1_000_000_000
        self.period_s = 1.0 / rate_hz  # of real time

    def at_ns(self, k: int) -> int:
        return math.ceil(k * self._period_ns)

    def first(self, at_ns: int) -> int:
        """The first tick at or after `at_ns`."""
        return math.ceil(at_ns / self._period_ns)


class _Source:
    """One source's resampler and the clock it is played by.

    is_short   whether the last `play` had nothing to play in time
    skipped    how many ticks the last `play` left out
    """

    def __init__(self, first: SmoothedEvent, rate_hz: float, speed: float, delay: Delay) -> None:
        self.resampler = Resampler(first.source)
        self.due_s = math.inf
        self.is_short = False
        self.skipped = 0
        self._ticks = Ticks(rate_hz, speed)
        self._speed = speed
        self._delay = delay
        self._base_ns = first.captured_at_ns  # floats hold seconds since then to the nanosecond
        self._next = self._ticks.first(first.captured_at_ns)
        self._came_s = -math.inf
        self._has_played = False

    def see(self, event: SmoothedEvent, now_s: float) -> None:
        resampler = self.resampler
        before_ns = None if resampler.is_empty else resampler.last_ns
        resampler.see(event)
        if resampler.late:
            return
        captured_ns = event.captured_at_ns
        is_near = before_ns is not None and captured_ns - before_ns <= INTERPOLATE_S * 1e9
        self._came_s = now_s
        self._delay.arrived(
            now_s,
            self._real_s(captured_ns),
            self._real_s(before_ns) if before_ns is not None and is_near else None,
        )
        if not self._has_played:  # the second event tells how far apart they are
            self.due_s = self._real_s(self._at_ns) + self._delay.offset_s(now_s)

    def take_late(self) -> int:
        late, self.resampler.late = self.resampler.late, 0
        return late

    def play(self, now_s: float) -> ControlFrame | None:
        """The frame that is due; None if there is nothing yet that could be held."""
        self._has_played = True
        period_s = self._ticks.period_s
        ahead_s = self._real_s(self._at_ns) + self._delay.offset_s(now_s) - self.due_s
        is_still = now_s - self._came_s > STOPPED_S
        self.skipped = int(-ahead_s / period_s) if is_still or ahead_s < -SKIP_S else 0
        self.skipped = max(0, self.skipped)
        self._next += self.skipped
        ahead_s += self.skipped * period_s
        is_known = self._at_ns <= self.resampler.known_ns or self.resampler.is_ended
        self.is_short = not (is_known or is_still)
        if self.is_short and not self._delay.is_fixed:
            frame = self.resampler.hold()
            slew_s = 0.0
        else:
            frame = self.resampler.at(self._at_ns)
            self._next += 1
            slew_s = max(-SLEW * period_s, min(SLEW * period_s, ahead_s))
        self.due_s += period_s + slew_s
        if (behind := int((now_s - self.due_s) / period_s)) > 0:  # this thread did not get to run
            self.due_s += behind * period_s
            self._next += behind
            self.skipped += behind
        return frame

    def is_over(self, now_s: float) -> bool:
        """Whether all was played that there will be."""
        resampler = self.resampler
        if resampler.is_ended:
            return self._ticks.at_ns(self._next - 1) >= resampler.known_ns
        return now_s - self._came_s > FORGET_S

    @property
    def _at_ns(self) -> int:
        return self._ticks.at_ns(self._next)

    def _real_s(self, captured_ns: int) -> float:
        return (captured_ns - self._base_ns) / 1e9 / self._speed
