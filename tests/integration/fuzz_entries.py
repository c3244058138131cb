"""Stream entries as strangers, broken senders and broken disks would make them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import msgpack

from contract import wire
from contract.errors import DecodeError
from contract.frame import FrameMessage
from tests.unit.strategies import jpeg

Entry = list[tuple[bytes, bytes]]  # pairs: a stream takes a field twice

_SIDES_PX = (8, 16, 33)
_FRAME_ODDS = 0.01  # spreads those that are taken over all entries
_KEYS = tuple(msgpack.unpackb(FrameMessage("a", "b", 0, 0, None, 8, 8, jpeg(8, 8)).encode()))


class FuzzEntries:
    """Random and mutated entries, the same ones for the same seed.

    At most `decodable` of the entries of one `take` decode as frames: those cost the networks'
    time, the others are refused before. `captured_at_ns` is what the frames claim, some with an
    age limit that a worker is past.
    """

    def __init__(self, seed: int, captured_at_ns: int) -> None:
        self._random = random.Random(seed)
        self._captured_at_ns = captured_at_ns
        self._pictures = {side: jpeg(side, side) for side in _SIDES_PX}
        self._seq = 0
        self._kinds: tuple[Callable[[], Entry], ...] = (
            self._random_bytes, self._other_fields, self._field_twice, self._random_msgpack,
            self._flipped, self._cut, self._inserted, self._wrong_value, self._wrong_keys,
            self._damaged_picture, self._whole,
        )  # fmt: skip

    def take(self, count: int, decodable: int) -> Iterator[Entry]:
        """`count` entries, of which at most `decodable` are frames."""
        while count:
            entry = self._random.choice(self._kinds)()
            if is_frame(entry):
                if not decodable or self._random.random() > _FRAME_ODDS:
                    continue
                decodable -= 1
            count -= 1
            yield entry

    def _bytes(self, most: int) -> bytes:
        return self._random.randbytes(self._random.randrange(most + 1))

    def _frame(self) -> FrameMessage:
        side = self._random.choice(_SIDES_PX)
        self._seq += 1
        return FrameMessage(
            "fuzz", "s", self._seq, self._captured_at_ns, None, side, side, self._pictures[side],
            max_age_ns=self._random.choice((None, None, None, 0)),
        )  # fmt: skip

    def _random_bytes(self) -> Entry:
        return [(wire.FIELD, self._bytes(200))]

    def _other_fields(self) -> Entry:
        fields = [(self._bytes(20), self._bytes(50)) for _ in range(self._random.randint(1, 4))]
        return [*fields, (wire.FIELD, self._bytes(9))] if self._random.random() < 0.2 else fields

    def _field_twice(self) -> Entry:
        both = [(wire.FIELD, self._frame().encode()), (wire.FIELD, self._bytes(50))]
        self._random.shuffle(both)
        return both

    def _random_msgpack(self) -> Entry:
        return [(wire.FIELD, msgpack.packb(self._value(4)))]

    def _value(self, depth: int) -> Any:
        pick = self._random.randrange(10 if depth else 7)
        if pick >= 8:
            keys = (*_KEYS, "x", self._random.random(), self._bytes(5))
            return {
                self._random.choice(keys): self._value(depth - 1)
                for _ in range(self._random.randrange(8))
            }
        if pick == 7:
            return [self._value(depth - 1) for _ in range(self._random.randrange(8))]
        return (
            None, self._random.random() < 0.5, self._random.randrange(-(2**63), 2**64),
            self._random.uniform(-1e300, 1e300), float("nan"), self._bytes(30),
            self._bytes(30).decode("latin-1"),
        )[pick]  # fmt: skip

    def _flipped(self) -> Entry:
        data = bytearray(self._frame().encode())
        for _ in range(self._random.randint(1, 4)):
            data[self._random.randrange(len(data))] ^= self._random.randint(1, 255)
        return [(wire.FIELD, bytes(data))]

    def _cut(self) -> Entry:
        data = self._frame().encode()
        return [(wire.FIELD, data[: self._random.randrange(len(data))])]

    def _inserted(self) -> Entry:
        data = self._frame().encode()
        at = self._random.randrange(len(data) + 1)
        return [(wire.FIELD, data[:at] + self._bytes(16) + data[at:])]

    def _fields(self) -> dict[Any, Any]:
        fields: dict[Any, Any] = msgpack.unpackb(self._frame().encode())
        return fields

    def _wrong_value(self) -> Entry:
        fields = self._fields()
        fields[self._random.choice(_KEYS)] = self._value(2)
        return [(wire.FIELD, msgpack.packb(fields))]

    def _wrong_keys(self) -> Entry:
        fields = self._fields()
        del fields[self._random.choice(_KEYS)]
        fields[self._bytes(8).decode("latin-1")] = self._value(2)
        return [(wire.FIELD, msgpack.packb(fields))]

    def _damaged_picture(self) -> Entry:
        fields = self._fields()
        image = bytearray(fields["image"])
        damage = self._random.randrange(3)
        if damage == 0:
            del image[self._random.randrange(len(image)) :]
        elif damage == 1:
            at = self._random.randrange(len(image))
            image[at : at + 20] = self._bytes(40)
        else:
            for _ in range(20):
                image[self._random.randrange(len(image))] = self._random.randrange(256)
        fields["image"] = bytes(image)
        return [(wire.FIELD, msgpack.packb(fields))]

    def _whole(self) -> Entry:
        return [(wire.FIELD, self._frame().encode())]


def is_frame(entry: Entry) -> bool:
    """Whether a worker would look into the picture."""
    try:
        FrameMessage.decode(dict(entry))
    except DecodeError:
        return False
    return True
