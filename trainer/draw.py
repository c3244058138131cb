"""What chance does to each training crop: drawn on the host, a few numbers a crop. Needs no Keras.

A step's numbers depend on (seed, epoch, step) alone. So a run that resumes sees the very crops it
would have seen, and TensorFlow and JAX see the same ones.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainer.recipe import AugmentSettings

# Per crop. xx xy yx yy, tx ty: from a place in the result to the place in the source it shows,
# both measured from the middle, in sides, x to the right and y down. gain, offset: of gray levels,
# gain around the crop's mean. noise: sigma. coarse: 1 = loses detail. top, left, bottom, right: the
# rectangle erased, in sides from the top left corner. keep: share of the crop in a mixture.
COLUMNS = (
    "xx", "xy", "yx", "yy", "tx", "ty", "gain", "offset", "noise", "coarse",
    "top", "left", "bottom", "right", "keep",
)  # fmt: skip
NOTHING = dict.fromkeys(COLUMNS, 0.0) | {"xx": 1.0, "yy": 1.0, "gain": 1.0, "keep": 1.0}

Floats = npt.NDArray[np.float32]
_ERASED_SHARE = (0.02, 0.25)
_ERASED_ASPECT = 3.0


def unchanged(count: int) -> Floats:
    """Numbers (count, columns) that leave every crop as it is."""
    return np.tile(np.array([NOTHING[name] for name in COLUMNS], np.float32), (count, 1))


def generator(seed: int, epoch: int, step: int) -> np.random.Generator:
    """The one that decides about a step."""
    return np.random.default_rng([seed, epoch, step])


def draw(settings: AugmentSettings, count: int, rng: np.random.Generator) -> Floats:
    """Numbers (count, columns) float32 for `count` crops."""
    # Always the same draws in the same order: switching one off leaves the others as they were.
    numbers = {name: np.full(count, value) for name, value in NOTHING.items()}
    even = {
        name: rng.uniform(-1, 1, count)
        for name in ("turn", "down", "across", "lean", "zoom", "zoom2", "gain", "offset")
    }
    chance = {name: rng.uniform(0, 1, count) for name in ("flip", "noise", "coarse", "erase")}
    box = rng.uniform(0, 1, (4, count))
    mixed = rng.beta(settings.mixup, settings.mixup, count) if settings.mixup else None

    _place(settings, even, chance["flip"], numbers)
    numbers["gain"] = 1 + settings.contrast * even["gain"]
    numbers["offset"] = 255 * settings.brightness * even["offset"]
    low, high = settings.noise_sigma
    numbers["noise"] = low + (high - low) * chance["noise"]
    numbers["coarse"] = (chance["coarse"] < settings.low_resolution).astype(float)
    _erase(box, chance["erase"] < settings.erase, numbers)
    if mixed is not None:
        numbers["keep"] = np.maximum(mixed, 1 - mixed)  # a crop's larger share is its own
    return np.stack([numbers[name] for name in COLUMNS], 1).astype(np.float32)


def _place(
    settings: AugmentSettings,
    even: dict[str, npt.NDArray[np.float64]],
    flip: npt.NDArray[np.float64],
    numbers: dict[str, npt.NDArray[np.float64]],
) -> None:
    """ImageDataGenerator's matrix, rotation x shift x shear x zoom, in rows and columns."""
    turn = np.deg2rad(settings.rotation_deg * even["turn"])
    lean = np.deg2rad(settings.shear_deg * even["lean"])
    zoom_y = 1 + settings.zoom * even["zoom"]
    zoom_x = zoom_y if settings.zoom_keeps_shape else 1 + settings.zoom * even["zoom2"]
    sine, cosine = np.sin(turn), np.cos(turn)
    # rotation ((cos, -sin), (sin, cos)) times shear ((1, -sin), (0, cos))
    rows = np.stack([cosine, -cosine * np.sin(lean) - sine * np.cos(lean)])
    columns = np.stack([sine, -sine * np.sin(lean) + cosine * np.cos(lean)])
    mirror = np.where(flip < 0.5, -1.0, 1.0) if settings.flip else 1.0
    numbers["yy"], numbers["yx"] = rows[0] * zoom_y, rows[1] * zoom_x * mirror
    numbers["xy"], numbers["xx"] = columns[0] * zoom_y, columns[1] * zoom_x * mirror
    down, across = settings.shift * even["down"], settings.shift * even["across"]
    numbers["ty"] = cosine * down - sine * across
    numbers["tx"] = sine * down + cosine * across


def _erase(
    box: npt.NDArray[np.float64],
    erased: npt.NDArray[np.bool_],
    numbers: dict[str, npt.NDArray[np.float64]],
) -> None:
    low, high = _ERASED_SHARE
    share = low + (high - low) * box[0]
    aspect = _ERASED_ASPECT ** (2 * box[1] - 1)
    height, width = np.minimum(np.sqrt(share * aspect), 1), np.minimum(np.sqrt(share / aspect), 1)
    numbers["top"] = np.where(erased, (1 - height) * box[2], 0)
    numbers["left"] = np.where(erased, (1 - width) * box[3], 0)
    numbers["bottom"] = np.where(erased, numbers["top"] + height, 0)
    numbers["right"] = np.where(erased, numbers["left"] + width, 0)
