"""Models of a few weights, for tests of what runs models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from contract.artifact import ModelManifest, file_sha256
from worker.engine import ArraySpec, ModelSource

if TYPE_CHECKING:
    import keras


def two_outputs() -> keras.Model:
    """Means of maps and the maps; with layers that behave otherwise while training."""
    import keras

    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3), dtype="uint8")
    maps = keras.layers.Conv2D(4, 3)(keras.ops.cast(image, "float32"))
    maps = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization()(maps))
    return keras.Model(image, (keras.layers.GlobalAveragePooling2D()(maps), maps))


def source(
    build: Callable[[], keras.Model] = two_outputs,
    *,
    side_px: int = 8,
    fingerprint: str = "0" * 64,
    int8: Path | None = None,
) -> ModelSource:
    return ModelSource(
        name="small",
        fingerprint=fingerprint,
        takes=ArraySpec((side_px, side_px, 3), np.dtype(np.uint8)),
        gives=(ArraySpec((4,), np.dtype(np.float32)), ArraySpec((6, 6, 4), np.dtype(np.float32))),
        build=build,
        int8=int8,
    )


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)


def classifier_artifact(
    folder: Path, name: str, labels: Sequence[str], *, sees: str, side_px: int = 48
) -> Path:
    """The artifact of a classifier that sees the same emotion in every face."""
    import keras

    crop = keras.Input((side_px, side_px, 1))
    bias = keras.initializers.Constant([4.0 * (label == sees) for label in labels])
    dense = keras.layers.Dense(len(labels), kernel_initializer="zeros", bias_initializer=bias)
    path = folder / f"{name}.keras"
    keras.Model(crop, dense(keras.layers.GlobalAveragePooling2D()(crop))).save(path)
    manifest = ModelManifest(
        name, path.name, file_sha256(path), tuple(labels), input_shape=(side_px, side_px, 1)
    )
    manifest.write(path.with_suffix(".json"))
    return path
