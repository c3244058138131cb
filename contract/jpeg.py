"""The size a JPEG claims to have, read from its header without decoding it.

Source: ITU-T T.81 (JPEG), annex B: markers, segment lengths, the frame header.
"""

from __future__ import annotations

from contract.errors import DecodeError

_START_OF_IMAGE = b"\xff\xd8"
# SOF0-SOF15 except DHT (C4), JPG (C8) and DAC (CC), which share the range but hold no size.
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})  # TEM, RST0-RST7
_ENTROPY_CODED = frozenset({0xDA, 0xD9})  # scan, end of image: no header came before them


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
        if marker in _WITHOUT_LENGTH:
            at += 2
            continue
        if marker in _ENTROPY_CODED:
            break
        if marker in _FRAME_HEADERS:
            if at + 9 > len(data):
                break
            height = int.from_bytes(data[at + 5 : at + 7], "big")
            width = int.from_bytes(data[at + 7 : at + 9], "big")
            return width, height
        at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    raise DecodeError("image", f"expected a JPEG frame header in {len(data):,} bytes, found none")
