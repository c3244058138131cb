"""From emotion labels to valence and arousal.

Coordinates: J. A. Russell and A. Mehrabian, "Evidence for a three-factor theory of emotions",
Journal of Research in Personality 11 (1977), 273-294: mean pleasure and arousal ratings, -1..1.
`anxious` and `embarrassed` serve seven-class Korean models (불안, 당황).
"""

from __future__ import annotations

from collections.abc import Mapping

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
}


def valence_arousal(scores: Mapping[str, float]) -> tuple[float, float]:
    """The probability-weighted mean coordinates, each -1..1; unknown labels count as neutral."""
    valence = sum(p * COORDINATES.get(label, (0.0, 0.0))[0] for label, p in scores.items())
    arousal = sum(p * COORDINATES.get(label, (0.0, 0.0))[1] for label, p in scores.items())
    return valence, arousal
