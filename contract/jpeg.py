"""The size a JPEG claims to have, read from its header without decoding it.

Source: ITU-T T.81 (JPEG), annex B: markers, segment lengths, the frame header.
"""

from __future__ import annotations

from contract.errors import DecodeError

_START_OF_IMAGE = b"\xff\xd8"
# SOF0-SOF15 except DHT (C4), JPG (C8) and DAC (CC), which share the range but hold no size.
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# What may come before it: DHT, DAC, DQT, DRI, APP0-APP15, COM. Nothing else: a decoder that skips
# what we would measure, or measures what we would skip, finds another frame header than we do
# (libjpeg takes `ff 00` for stuffing and searches on).
_SEGMENTS = frozenset({0xC4, 0xCC, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE})
_WITHOUT_HEADER = frozenset({0xDA, 0xD9})  # scan, end of image: no header came before them


def jpeg_size(data: bytes) -> tuple[int, int]:
    """(width, height) in pixels; `DecodeError("image")` if `data` is no JPEG or is cut short."""
    if data[:2] != _START_OF_IMAGE:
        raise DecodeError("image", f"expected a JPEG (ff d8), got {data[:2].hex(' ') or 'nothing'}")
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise DecodeError("image", f"expected a JPEG marker at byte {at}, got {data[at]:02x}")
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _WITHOUT_HEADER:
            break
        if marker in _FRAME_HEADERS:
            if at + 9 > len(data):
                break
            height = int.from_bytes(data[at + 5 : at + 7], "big")
            width = int.from_bytes(data[at + 7 : at + 9], "big")
            return width, height
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker not in _SEGMENTS or length < 2:
            raise DecodeError(
                "image",
                f"expected a segment of a JPEG header at byte {at}, got "
                f"{data[at : at + 4].hex(' ')}",
            )
        at += 2 + length
    raise DecodeError("image", f"expected a JPEG frame header in {len(data):,} bytes, found none")
