"""Crops for a network on the host, resized exactly as the worker resizes."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Crops = npt.NDArray[np.uint8]


def resized(crops: Crops, side_px: int) -> Crops:
    """(N, s, s) uint8 -> (N, side_px, side_px) uint8: bilinear up, by area down."""
    if crops.shape[1] == side_px:
        return crops
    how = cv2.INTER_AREA if crops.shape[1] > side_px else cv2.INTER_LINEAR
    found = np.empty((len(crops), side_px, side_px), np.uint8)
    for row, crop in enumerate(crops):
        found[row] = cv2.resize(crop, (side_px, side_px), interpolation=how)
    return found
