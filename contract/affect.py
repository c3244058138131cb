"""From emotion labels to valence and arousal.

Coordinates: J. A. Russell and A. Mehrabian, "Evidence for a three-factor theory of emotions",
Journal of Research in Personality 11 (1977), 273-294: mean pleasure and arousal ratings, -1..1.
`anxious` and `embarrassed` serve seven-class Korean models (불안, 당황). Two labels of data sets
are not among the 151 terms and have the nearest one's place: `hurt` (상처) that of "rejected",
which is where Warriner, Kuperman and Brysbaert, Behavior Research Methods 45 (2013), find "hurt"
(2.45 and 4.72 of 1..9: -0.64, -0.07); `frown` (K-Face's third expression) that of "displeased".
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.errors import UsageError

# label: (valence, arousal)
COORDINATES: Mapping[str, tuple[float, float]] = {
    "neutral": (0.0, 0.0),
    "happiness": (0.81, 0.51),
    "surprise": (0.40, 0.67),
    "sadness": (-0.63, -0.27),
    "anger": (-0.51, 0.59),
    "disgust": (-0.60, 0.35),
    "fear": (-0.64, 0.60),
    "contempt": (-0.23, 0.31),
    "anxious": (0.01, 0.59),
    "embarrassed": (-0.46, 0.54),
    "hurt": (-0.62, -0.01),
    "frown": (-0.55, 0.16),
}


@dataclass(frozen=True, slots=True)
class Affect:
    """A point in Russell's plane.

    valence   -1 (unpleasant) .. 1 (pleasant)
    arousal   -1 (calm) .. 1 (excited)
    """

    valence: float
    arousal: float

    def to_dict(self) -> dict[str, float]:
        return {"valence": self.valence, "arousal": self.arousal}


class Range(enum.Enum):
    """How valence and arousal are written for programs that want another range than -1..1."""

    SIGNED = "-1..1"
    UNIT = "0..1"

    def __call__(self, value: float) -> float:
        """A value of -1..1 in this range."""
        return value if self is Range.SIGNED else (value + 1.0) / 2.0


def valence_arousal(
    scores: Mapping[str, float], coordinates: Mapping[str, tuple[float, float]] = COORDINATES
) -> tuple[float, float]:
    """The probability-weighted mean coordinates, each -1..1; unknown labels count as neutral."""
    valence = arousal = 0.0
    for label, p in scores.items():
        if label in coordinates:
            v, a = coordinates[label]
            valence += p * v
            arousal += p * a
    if not (-1.0 <= valence <= 1.0 and -1.0 <= arousal <= 1.0):  # scores of a little more than 1
        return max(-1.0, min(1.0, valence)), max(-1.0, min(1.0, arousal))
    return valence, arousal


def read_coordinates(path: Path) -> Mapping[str, tuple[float, float]]:
    """A table of one's own: a JSON object, label -> [valence, arousal], each -1..1.

    It replaces `COORDINATES` label by label. Raises `UsageError` naming the file and the fault.
    """
    try:
        table = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path}: expected a JSON object, {error}") from error
    if not isinstance(table, dict):
        raise UsageError(f"{path}: expected a JSON object, got {type(table).__name__}")
    return {**COORDINATES, **{label: _pair(path, label, pair) for label, pair in table.items()}}


def _pair(path: Path, label: str, pair: Any) -> tuple[float, float]:
    if (
        not isinstance(pair, list)
        or len(pair) != 2
        or not all(type(x) in (int, float) and -1.0 <= x <= 1.0 for x in pair)
    ):
        raise UsageError(f"{path}: {label}: expected [valence, arousal], each -1 to 1, got {pair}")
    return float(pair[0]), float(pair[1])
