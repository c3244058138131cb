"""Which records were seen before, in bounded memory. No I/O."""

from __future__ import annotations

from collections import OrderedDict

from contract.event import EmotionEvent, Record, SourceRecord

_SEQS_PER_PAGE = 4096
_MAX_PAGES = 4096  # of 512 bytes: the last 16 million frames or so, in 2 MB
_MAX_SOURCE_RECORDS = 4096


class Repeats:
    """Remembers records; after Redis rolled back, a frame can be published a second time.

    One bit a frame, in pages of consecutive frames of a session; the page that was not touched for
    longest is forgotten first.
    """

    def __init__(self) -> None:
        self._pages: OrderedDict[tuple[str, str, int], bytearray] = OrderedDict()
        self._source_records: OrderedDict[SourceRecord, None] = OrderedDict()

    def is_repeat(self, record: Record) -> bool:
        """Whether an equal id was asked about before; from now on it was."""
        if isinstance(record, EmotionEvent):
            return self._is_known_event(record)
        known = record in self._source_records
        self._source_records[record] = None
        self._source_records.move_to_end(record)
        if len(self._source_records) > _MAX_SOURCE_RECORDS:
            self._source_records.popitem(last=False)
        return known

    def _is_known_event(self, event: EmotionEvent) -> bool:
        number, within = divmod(event.seq, _SEQS_PER_PAGE)
        name = (event.source, event.session, number)
        page = self._pages.get(name)
        if page is None:
            page = self._pages[name] = bytearray(_SEQS_PER_PAGE // 8)
            if len(self._pages) > _MAX_PAGES:
                self._pages.popitem(last=False)
        else:
            self._pages.move_to_end(name)
        byte, bit = within >> 3, 1 << (within & 7)
        known = bool(page[byte] & bit)
        page[byte] |= bit
        return known
