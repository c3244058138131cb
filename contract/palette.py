"""One colour per emotion, the same in every table, view and video."""

from __future__ import annotations

import zlib

RGB = tuple[int, int, int]

_COLOURS: dict[str, RGB] = {
    "neutral": (148, 160, 178),
    "happiness": (242, 193, 78),
    "surprise": (247, 129, 84),
    "sadness": (91, 143, 214),
    "anger": (224, 82, 99),
    "disgust": (124, 181, 60),
    "fear": (157, 108, 201),
    "contempt": (201, 139, 185),
    "anxious": (120, 130, 210),
    "embarrassed": (236, 150, 160),
}
_SPARE: tuple[RGB, ...] = ((99, 190, 180), (190, 170, 120), (130, 170, 110), (170, 150, 200))


def colour_of(label: str) -> RGB:
    """The label's colour; a label this table doesn't know gets one that is the same every run."""
    return _COLOURS.get(label) or _SPARE[zlib.crc32(label.encode()) % len(_SPARE)]


def hex_colour_of(label: str) -> str:
    """The same as ``#rrggbb``, as rich wants it."""
    red, green, blue = colour_of(label)
    return f"#{red:02x}{green:02x}{blue:02x}"
