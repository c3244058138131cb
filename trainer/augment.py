"""Training crops varied on the device: `trainer.draw` decides, these Keras operations do it.

B is the batch. Everything works under TensorFlow's and JAX's compilers: shapes are fixed, and what
a recipe does not use is not in the graph.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from trainer.draw import COLUMNS
from trainer.recipe import AugmentSettings

_COARSER = 4


def augmented(crops: Any, numbers: Any, settings: AugmentSettings, side_px: int, seeds: Any) -> Any:
    """Crops (B, s, s) uint8 as the network sees them, (B, side_px, side_px, 1) float32.

    `numbers` (B, columns) are `draw`'s; `seeds` is a `keras.random.SeedGenerator`. With `unchanged`
    numbers this is OpenCV's bilinear resize.
    """
    column = {name: numbers[:, place, None, None] for place, name in enumerate(COLUMNS)}
    images = warped(crops, column, side_px)
    if settings.contrast or settings.brightness:
        mean = ops.mean(images, axis=(1, 2), keepdims=True)
        images = (images - mean) * column["gain"] + mean + column["offset"]
        # A camera clips too; and without it the network's min-max would undo all of this.
        images = ops.clip(images, 0, 255)
    if settings.low_resolution:
        filters = ops.convert_to_tensor(_coarse(side_px))
        rough = ops.einsum("ij,bjk,lk->bil", filters, images, filters)
        images = images + column["coarse"] * (rough - images)
    if settings.noise_sigma[1]:
        shape = ops.shape(images)
        images = images + column["noise"] * keras.random.normal(shape, seed=seeds)
    if settings.erase:
        images = erased(images, column, seeds)
    if settings.mixup:
        images = mixed(images, column["keep"])
    return images[..., None]


def mixed(values: Any, keep: Any) -> Any:
    """Each of values (B, ...) with the one before it; `keep` broadcasts to them."""
    return values * keep + ops.roll(values, 1, axis=0) * (1 - keep)


def warped(crops: Any, column: dict[str, Any], side_px: int) -> Any:
    """(B, s, s) uint8 -> (B, side_px, side_px) float32: placed and resized in one bilinear look-up.

    Places outside the crop show the nearest pixel of its edge.
    """
    source_px = crops.shape[1]
    middles = (np.arange(side_px, dtype=np.float32) + 0.5) / side_px - 0.5
    x, y = middles[None, None, :], middles[None, :, None]
    left, right, across = _neighbours(column["xx"] * x + column["xy"] * y + column["tx"], source_px)
    above, below, down = _neighbours(column["yx"] * x + column["yy"] * y + column["ty"], source_px)
    flat = ops.reshape(crops, (-1, source_px * source_px))

    def pixels(rows: Any, columns: Any) -> Any:
        places = ops.reshape(rows * source_px + columns, (-1, side_px * side_px))
        found = ops.take_along_axis(flat, places, axis=1)
        return ops.cast(ops.reshape(found, (-1, side_px, side_px)), "float32")

    upper = pixels(above, left) * (1 - across) + pixels(above, right) * across
    lower = pixels(below, left) * (1 - across) + pixels(below, right) * across
    return upper * (1 - down) + lower * down


def erased(images: Any, column: dict[str, Any], seeds: Any) -> Any:
    """Images (B, h, h) with a rectangle of even noise each; an empty one leaves them whole."""
    middles = (np.arange(images.shape[1], dtype=np.float32) + 0.5) / images.shape[1]
    x, y = middles[None, None, :], middles[None, :, None]
    inside = ops.logical_and(
        ops.logical_and(y >= column["top"], y < column["bottom"]),
        ops.logical_and(x >= column["left"], x < column["right"]),
    )
    noise = keras.random.uniform(ops.shape(images), 0, 255, seed=seeds)
    return ops.where(inside, noise, images)


def _neighbours(place: Any, source_px: int) -> tuple[Any, Any, Any]:
    """The pixels before and after each place (in sides from the middle), and the latter's share."""
    exact = ops.clip((place + 0.5) * source_px - 0.5, 0, source_px - 1)
    before = ops.floor(exact)
    first = ops.cast(before, "int32")
    return first, ops.minimum(first + 1, source_px - 1), exact - before


def _coarse(side_px: int) -> Any:
    """(side_px, side_px): means of `_COARSER` pixels, resized back bilinearly."""
    small_px = side_px // _COARSER
    down = np.kron(np.eye(small_px), np.full((1, _COARSER), 1 / _COARSER))
    exact = np.clip((np.arange(side_px) + 0.5) / _COARSER - 0.5, 0, small_px - 1)
    before = np.floor(exact).astype(int)
    up = np.zeros((side_px, small_px))
    up[np.arange(side_px), before] = 1 - (exact - before)
    up[np.arange(side_px), np.minimum(before + 1, small_px - 1)] += exact - before
    return (up @ down).astype(np.float32)
