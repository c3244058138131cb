"""Control data as Open Sound Control over UDP, for Max, Pure Data, SuperCollider and their like.

========================================  =========  =============================================
address                                   arguments  when
========================================  =========  =============================================
``/emotion/<source>/<n>/va``              f f        every tick: valence, arousal
``/emotion/<source>/<n>/weights``         f ... f    every tick: a probability for each label
``/emotion/<source>/<n>/label``           s          when it changes, and every second
``/emotion/<source>/<n>/entered``                    somebody came
``/emotion/<source>/<n>/left``                       somebody went; no more of <n> until `entered`
``/emotion/<source>/<n>/changed``         s s        the expression before, and the one after
``/emotion/<source>/labels``              s ... s    the order of the weights: at first, when one
                                                     is added, and every two seconds
``/emotion/<source>/people``              i          every tick: how many there are
``/emotion/<source>/room/va``             f f        every tick with people: the mood of all
``/emotion/<source>/state``               s          started, ended, offline
========================================  =========  =============================================

Whoever is there when the program ends has ``left``, so that no synthesiser sounds on for ever.
``<n>`` is the person's track, or their voice (see `contract.smoothed.Person`). What repeats does so
because UDP loses datagrams and receivers are started again. All that belongs to one tick of a
source is one bundle, split where it would not fit a datagram safely. Its time tag is the capture's:
it lies in the past, so receivers act at once, and those that look at it can tell how much time lies
between two bundles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from consumer.sinks.control import ControlFrame
from consumer.sinks.osc_packet import address_part, bundles, message
from consumer.sinks.playout import Playout
from consumer.sinks.priority import go_first
from consumer.sinks.udp import UdpAddress, UdpSender
from contract.affect import Range
from contract.event import SourceRecord
from contract.smoothed import Person, Signal, Transition

By = Literal["track", "voice"]

LABEL_EVERY_NS = 1_000_000_000  # of capture time, so that a replay sends the same
LABELS_EVERY_NS = 2_000_000_000


class OscSink:
    """A `Sink` that sends what `playout` plays to every host.

    `lost` counts the bundles that did not arrive as far as one can tell (see `UdpSender`): UDP that
    nobody listens to is no failure of the sink. With `first` the thread that writes to it gets
    real-time scheduling if this user may have it: for a thread of its own, as `FanOut`'s are.
    """

    def __init__(
        self,
        addresses: Sequence[UdpAddress],
        playout: Playout,
        *,
        by: By = "track",
        scale: Range = Range.SIGNED,
        first: bool = False,
        flag: str = "--osc",
    ) -> None:
        """Raises `UsageError` naming `flag` when a host is not found."""
        self.name = f"osc {', '.join(str(address) for address in addresses)}"
        self.playout = playout
        self._senders = [UdpSender(address, flag) for address in addresses]
        self._by = by
        self._scale = scale
        self._told: dict[str, OscSource] = {}
        self._now_s = 0.0
        self._wants_first = first

    @property
    def lost(self) -> int:
        """Bundles that did not reach a host."""
        return sum(sum(sender.lost.values()) for sender in self._senders)

    @property
    def sent(self) -> int:
        """Bundles sent, to all hosts together."""
        return sum(sender.sent for sender in self._senders)

    def write(self, signal: Signal, now_s: float) -> None:
        if self._wants_first:
            self._wants_first = False
            go_first()
        self._send(self.playout.add(signal, now_s), now_s)

    def due_s(self) -> float | None:
        return self.playout.due_s()

    def tick(self, now_s: float) -> None:
        self._send(self.playout.tick(now_s), now_s)

    def close(self) -> None:
        self._send(self.playout.finish(), self._now_s)
        for source in self._told.values():
            self._send_bundles(source.at_ns, source.silence(), self._now_s)
        for sender in self._senders:
            sender.close()

    def _send(self, frames: Sequence[ControlFrame], now_s: float) -> None:
        self._now_s = now_s
        for frame in frames:
            source = self._told.get(frame.source)
            if source is None:
                source = self._told[frame.source] = OscSource(frame.source, self._by, self._scale)
            self._send_bundles(frame.at_ns, source.messages(frame), now_s)
            if source.is_over:
                del self._told[frame.source]

    def _send_bundles(self, at_ns: int, messages: Iterable[bytes], now_s: float) -> None:
        for datagram in bundles(at_ns, messages):
            for sender in self._senders:
                sender.send(datagram, now_s)


class OscSource:
    """The messages of one source, and what of it was told when; `at_ns` is of the last frame."""

    def __init__(self, source: str, by: By, scale: Range) -> None:
        self.is_over = False
        self.at_ns = 0
        self._root = f"/emotion/{address_part(source)}"
        self._by = by
        self._scale = scale
        # It only grows: while models are exchanged people's own labels differ, from each other and
        # from frame to frame, and a weight must not mean now this, now that.
        self._labels: list[str] = []
        self._labels_ns: int | None = None
        self._label: dict[int, tuple[str, int]] = {}  # of each track, and when it was told
        self._present: dict[int, str] = {}  # track -> the number in its addresses

    def messages(self, frame: ControlFrame) -> Iterator[bytes]:
        """What a control frame says, in the order it has to be understood in."""
        self.at_ns = frame.at_ns
        last = [change for change in frame.changes if _is_last(change)]
        for change in frame.changes:
            if change not in last:
                yield self._change(change)
        if frame.people is not None:
            yield from self._people(frame, frame.people)
        for change in last:
            yield self._change(change)
            self.is_over = True

    def silence(self) -> Iterator[bytes]:
        """At the end: whoever is there has left."""
        for n in self._present.values():
            yield message(f"{self._root}/{n}/left")
        if self._present:
            yield message(f"{self._root}/people", 0)
        self._present = {}

    def _people(self, frame: ControlFrame, people: Sequence[Person]) -> Iterator[bytes]:
        for person in people:
            new = [label for label in person.scores if label not in self._labels]
            if new or _is_due(self._labels_ns, frame.at_ns, LABELS_EVERY_NS):
                self._labels += new
                self._labels_ns = frame.at_ns
                yield message(f"{self._root}/labels", *self._labels)
            yield from self._person(person, frame.at_ns)
        self._present = {person.track: self._n(person) for person in people}
        self._label = {track: told for track, told in self._label.items() if track in self._present}
        yield message(f"{self._root}/people", len(people))
        if frame.room is not None:
            yield self._va("room", frame.room.valence, frame.room.arousal)

    def _person(self, person: Person, at_ns: int) -> Iterator[bytes]:
        n = self._n(person)
        yield self._va(n, person.valence, person.arousal)
        label, told_ns = self._label.get(person.track, ("", None))
        if label != person.label or _is_due(told_ns, at_ns, LABEL_EVERY_NS):
            self._label[person.track] = (person.label, at_ns)
            yield message(f"{self._root}/{n}/label", person.label)
        weights = (float(person.scores.get(label, 0.0)) for label in self._labels)
        yield message(f"{self._root}/{n}/weights", *weights)

    def _n(self, who: Person | Transition) -> str:
        return str(who.track if self._by == "track" else who.voice)

    def _va(self, part: str, valence: float, arousal: float) -> bytes:
        scale = self._scale
        return message(f"{self._root}/{part}/va", float(scale(valence)), float(scale(arousal)))

    def _change(self, change: Transition | SourceRecord) -> bytes:
        if isinstance(change, SourceRecord):
            return message(f"{self._root}/state", change.state)
        if change.change == "person_left":
            self._present.pop(change.track, None)
        at = f"{self._root}/{self._n(change)}"
        if change.change == "emotion_changed":
            return message(f"{at}/changed", change.before or "", change.label)
        return message(f"{at}/{'entered' if change.change == 'person_entered' else 'left'}")


def _is_last(change: Transition | SourceRecord) -> bool:
    return isinstance(change, SourceRecord) and change.state != "started"


def _is_due(told_ns: int | None, at_ns: int, every_ns: int) -> bool:
    # A clock that went back tells again.
    return told_ns is None or not 0 <= at_ns - told_ns < every_ns
