"""The events of a running system as a Python iterator."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from consumer.group import Member, group_exists
from consumer.progress import Start, parse_start
from consumer.repeats import Repeats
from consumer.streams import EventStreams, Stream
from consumer.subscription import Delivery, Subscription
from consumer.tail import Tail
from contract.connect import check, check_url, connect
from contract.errors import DecodeError, EventsMissed, UsageError
from contract.event import EmotionEvent, Record, SourceRecord, decode_record
from contract.keys import DEFAULT_PREFIX
from contract.outage import patient_start
from contract.redact import redacted

if TYPE_CHECKING:
    import redis

# Not structlog: a program that uses this class decides itself where its log goes.
_log = logging.getLogger(__name__)


class EventReader:
    """Iterates over the events of a system in the order of its stream; a context manager::

        with EventReader("redis://127.0.0.1:6379", group="my-synth") as reader:
            for event in reader:
                play(event)

    With several partitions there is a stream for each: a source is in one of them, and nothing is
    said about the order of events in two. Of a source that moves to another one, the old session
    comes before the new. `last_id` is a place in one stream, so resume by a group.

    ``for event in reader`` gives every `EmotionEvent`; ``for record in reader.records()`` also the
    `SourceRecord` of a source that started, ended or went offline. One thread iterates; any thread
    may call `stop` or `close`, a signal handler `stop`. Redis is first asked when the `with` block
    or the loop is entered.

    start            where to begin without a group, or with a group that doesn't exist yet: "now"
                     (what is published from here on), "beginning" (all that is still there), or
                     the id of the stream entry to start after, as in `last_id`
    group            share the events with all readers of this group, and go on where it stopped.
                     An event is acknowledged when the loop comes back for the next one (within
                     0.1 s or 64 events), or at a clean end. If the `with` block ends by an
                     exception, the event in hand comes again, as does what a killed reader held
    consumer         name in the group, one for each running reader; with the same name a reader
                     resumes at once even after a kill. Default: a name for this run only
    prefix           what the system's keys start with
    sources          only these sources; None = all
    missed           if events were trimmed before they were read, "report" how many (to `on_missed`
                     or else to the log) or "raise" `EventsMissed`, and go on after it. Exact, but
                     after a start at an id the least possible until the reader once caught up
    idle_s           the loop ends after so many seconds without a record; it may be started again
    redis_timeout_s  how long an outage may last before `BrokerUnavailable`; None = for ever
    stop             the loop ends soon after this event is set, and the reader is closed
    batch, block_s   most entries fetched at once; longest wait, so also how soon `stop` is seen
    claim_idle_s     what a member of the group holds for longer than this goes to another one: it
                     is presumed dead. So a loop body that takes longer has its event done twice

    Counters: `missed` events (of all sources), `repeats` dropped (after Redis lost data, a frame
    may be published again), `undecodable` entries skipped, by reason, `outages` of Redis.

    Raises `UsageError` for arguments that cannot be used, `BrokerUnavailable` when Redis isn't
    there at the start or stays away, `BrokerError` when it refuses a command.
    """

    def __init__(
        self,
        url: str,
        *,
        start: str = "now",
        group: str | None = None,
        consumer: str | None = None,
        prefix: str = DEFAULT_PREFIX,
        sources: Iterable[str] | None = None,
        missed: Literal["report", "raise"] = "report",
        on_missed: Callable[[int], None] | None = None,
        idle_s: float | None = None,
        redis_timeout_s: float | None = 60.0,
        stop: threading.Event | None = None,
        batch: int = 256,
        block_s: float = 0.2,
        claim_idle_s: float = 60.0,
    ) -> None:
        try:
            self._start = parse_start(start)
        except ValueError as error:
            raise UsageError(f"start: {error}, got {start!r}") from error
        self.missed = 0
        self.repeats = 0
        self.undecodable: Counter[str] = Counter()
        self.fetched_at_s = 0.0  # when Redis was last asked, monotonic; what came then has one time
        self.last_id: str | None = None  # of the stream entry that was handed out last
        self.done_id: str | None = None  # of the one that was done with last, handed out or skipped
        check_url(url)
        self._url = url
        self._prefix = prefix
        self._group = group
        self._consumer = consumer
        self._claim_idle_s = claim_idle_s
        self._redis_timeout_s = redis_timeout_s
        self._batch = batch
        self._sources = None if sources is None else frozenset(sources)
        self._raise_missed = missed == "raise"
        self._on_missed = on_missed
        self._idle_s = idle_s
        self._block_s = block_s
        self._stop = stop
        self._closing = threading.Event()
        self._seen = Repeats()
        self._in_hand: Delivery | None = None
        self._state: Literal["new", "open", "closed"] = "new"
        self._thread: int | None = None  # the one that iterates
        self._client: redis.Redis | None = None
        self._subscription: Subscription  # once open

    @property
    def outages(self) -> int:
        """How many times Redis did not answer and was waited for."""
        subscription: Subscription | None = getattr(self, "_subscription", None)
        return 0 if subscription is None else subscription.outages

    def __enter__(self) -> EventReader:
        self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._in_hand = None  # not acknowledged: the loop body didn't get through
        self.close()

    def __iter__(self) -> Iterator[EmotionEvent]:
        return self

    def __next__(self) -> EmotionEvent:
        while (record := self.next_record()) is not None:
            if isinstance(record, EmotionEvent):
                return record
        raise StopIteration

    def records(self) -> Iterator[Record]:
        """Events and source records, in the order of the stream."""
        while (record := self.next_record()) is not None:
            yield record

    @property
    def is_over(self) -> bool:
        """Whether there will be no more records: it was stopped or closed."""
        return self._state == "closed" or self._is_stopped()

    @property
    def is_away(self) -> bool:
        """Whether a server does not answer just now, so that nobody knows what it has."""
        return self._state == "open" and self._subscription.is_away

    def next_record(self, timeout_s: float | None = None) -> Record | None:
        """The next event or source record; None when stopped, after `idle_s` of silence, or when
        none came within `timeout_s`.

        Asking for it says that the one before is done.
        """
        self._open()
        self._thread = threading.get_ident()
        self._finish_in_hand()
        since_s = time.monotonic()
        while not self._is_stopped():
            if self._subscription.needs_fetch():
                self._subscription.fetch()
                self.fetched_at_s = time.monotonic()
                self._tell_missed()  # before the events that come after the gap
            delivery = self._subscription.take()
            if delivery is not None:
                record = self._decode(delivery)
                if record is not None and self._is_wanted(record):
                    if self._is_held(delivery, record):
                        continue
                    if not self._is_repeat(record):
                        self._in_hand = delivery
                        self.last_id = delivery.entry_id.decode()
                        return record
                self._finish(delivery)
                continue
            wait_s = self._block_s
            if self._idle_s is not None and not self._subscription.is_away:
                # An outage is not silence.
                silent_s = time.monotonic() - max(since_s, self._subscription.back_at_s)
                if silent_s >= self._idle_s:
                    return None
                wait_s = min(wait_s, self._idle_s - silent_s)
            if timeout_s is not None:
                left_s = since_s + timeout_s - time.monotonic()
                if left_s <= 0:
                    return None
                wait_s = min(wait_s, left_s)
            self._subscription.wait(wait_s)
        self._shut_down()
        return None

    def stop(self) -> None:
        """End the loop soon, and then close; from any thread or signal handler."""
        self._closing.set()

    def close(self) -> None:
        """Acknowledge the event in hand, give back what was only fetched, disconnect.

        From another thread than the iterating one it is the same as `stop`: the event in hand is
        not done yet.
        """
        self._closing.set()
        if self._thread in (None, threading.get_ident()):
            self._shut_down()

    def _is_stopped(self) -> bool:
        return self._closing.is_set() or (self._stop is not None and self._stop.is_set())

    def _open(self) -> None:
        if self._state != "new" or self._is_stopped():
            return
        client = self._client = connect(self._url, retries=0)
        check(client, self._url)
        streams = EventStreams(
            client,
            self._prefix,
            self._start,
            partial(self._make_stream, client),
            lambda key: self._group is not None and group_exists(client, key, self._group),
        )
        try:
            self._open_streams(client, streams)
        except BaseException:
            streams.close()
            client.close()
            raise

    def _open_streams(self, client: redis.Redis, streams: EventStreams) -> None:
        first = patient_start(
            streams.first,
            self._url,
            self._redis_timeout_s,
            lambda seconds: self._closing.wait(seconds) or self._is_stopped(),
        )
        if first is None:
            return  # stopped first
        self._subscription = Subscription(
            client,
            streams,
            redacted(self._url),
            timeout_s=self._redis_timeout_s,
            batch=self._batch,
            stale_after_s=None if self._group is None else self._claim_idle_s / 2,
            is_stopped=self._is_stopped,
        )
        self._subscription.open(first)
        self._state = "open"

    def _make_stream(self, client: redis.Redis, key: str, start: Start) -> Stream:
        if self._group is None:
            return Tail(client, key, start)
        return Member(client, key, start, self._group, self._consumer, self._claim_idle_s)

    def _shut_down(self) -> None:
        if self._state == "open":
            self._finish_in_hand()
            self._subscription.close()
            self._tell_missed(may_raise=False)
        self._state = "closed"
        if self._client is not None:
            self._client.close()

    def _finish_in_hand(self) -> None:
        if self._in_hand is not None:
            done, self._in_hand = self._in_hand, None
            self._finish(done)

    def _finish(self, delivery: Delivery) -> None:
        self.done_id = delivery.entry_id.decode()
        self._subscription.finish(delivery)

    def _decode(self, delivery: Delivery) -> Record | None:
        try:
            return decode_record(delivery.entry)
        except DecodeError as error:
            if not self.undecodable[error.reason]:
                _log.warning("skipping entries that are no events (%s): %s", error.reason, error)
            self.undecodable[error.reason] += 1
            return None

    def _is_wanted(self, record: Record) -> bool:
        return self._sources is None or record.source in self._sources

    def _is_held(self, delivery: Delivery, record: Record) -> bool:
        """Whether it must wait for what came before it in another stream."""
        if not isinstance(record, SourceRecord) or not record.moved or record.state != "started":
            return False
        return self._subscription.hold(delivery)

    def _is_repeat(self, record: Record) -> bool:
        is_repeat = self._seen.is_repeat(record)
        self.repeats += is_repeat
        return is_repeat

    def _tell_missed(self, *, may_raise: bool = True) -> None:
        untold, self._subscription.missed = self._subscription.missed, []
        count = sum(missed.count for missed in untold)
        if not count:
            return
        self.missed += count
        if self._raise_missed and may_raise:
            raise EventsMissed(count)
        if self._on_missed is not None:
            self._on_missed(count)
        else:
            least = "" if all(missed.exact for missed in untold) else "at least "
            events = "event" if count == 1 else "events"
            _log.warning("missed %s%d %s: trimmed before read", least, count, events)
