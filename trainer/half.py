"""A `.keras` file made small and repeatable: kernels in float16, no dates."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from trainer.whole import whole

_WEIGHTS = "model.weights.h5"
_METADATA = "metadata.json"
_LARGEST = float(np.finfo(np.float16).max)


def write_half(source: Path, target: Path) -> None:
    """Copy a .keras file; matrices and kernels become float16 where they fit its range.

    Keras loads it as float32: half the size for a relative error of 2**-11 in each weight. Vectors
    stay float32: they are small, and a batch norm's variances span more than float16 does. The same
    model gives the same bytes, whenever it is done. Raises `UsageError` when `target` cannot be
    written.
    """
    import h5py

    with (
        whole(target) as unfinished,
        zipfile.ZipFile(source) as old,
        zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as new,
    ):
        for name in sorted(old.namelist()):
            content = old.read(name)
            if name == _WEIGHTS:
                copy = io.BytesIO()
                with h5py.File(io.BytesIO(content), "r") as full, h5py.File(copy, "w") as half:
                    _copy(full, half)
                content = copy.getvalue()
            elif name == _METADATA:
                dateless = {**json.loads(content), "date_saved": None}
                content = json.dumps(dateless, sort_keys=True).encode()
            new.writestr(zipfile.ZipInfo(name), content)  # dated 1980, a zip's first day


def _copy(old: Any, new: Any) -> None:
    for key, value in sorted(old.attrs.items()):
        new.attrs[key] = value
    for name, item in sorted(old.items()):
        if hasattr(item, "items"):
            _copy(item, new.create_group(name))
            continue
        values = item[()]
        fits = values.ndim > 1 and values.dtype == np.float32 and np.abs(values).max() < _LARGEST
        made = new.create_dataset(
            name, data=values.astype(np.float16) if fits else values, track_times=False
        )
        for key, value in sorted(item.attrs.items()):
            made.attrs[key] = value
