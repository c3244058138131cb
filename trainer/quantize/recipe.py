"""Post-training quantisation to int8 by NNCF (https://github.com/openvinotoolkit/nncf).

What was tried, on validation data only, is in the table of each network's file.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

Pictures = Sequence[npt.NDArray[np.uint8]]


def quantised(
    model: Any, pictures: Pictures, is_float: Callable[[Any], bool], console: Console
) -> Any:
    """The int8 form of an `openvino.Model`.

    pictures   one item each, as the model takes them: they calibrate the ranges of activations
    is_float   which of the model's operations stay as they are
    console    shows the progress, if it is a terminal
    """
    import nncf
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    keep = [op.get_friendly_name() for op in model.get_ordered_ops() if is_float(op)]
    with _bars_on(console):
        return nncf.quantize(
            model,
            nncf.Dataset([picture[np.newaxis] for picture in pictures]),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(pictures),
            fast_bias_correction=False,
            ignored_scope=nncf.IgnoredScope(names=keep),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                # Nothing is clipped: the mean of the pictures' extremes, NNCF's default, cost the
                # classifier 0.5 points instead of 0.2 and moved the detector by 0.14.
                activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
                # NNCF halves the range of the first weights for CPUs without VNNI, whose int8 sums
                # can overflow. Nothing was measured on such a CPU.
                overflow_fix=nncf.OverflowFix.DISABLE,
            ),
        )


def made(pictures: Pictures, data: str) -> dict[str, Any]:
    """What to say of a quantisation: its calibration pictures and its tools."""
    import nncf
    import openvino

    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(picture.tobytes())
    return {
        "calibration": data,
        "calibration_sha256": digest.hexdigest(),
        "nncf": nncf.__version__,
        "openvino": openvino.__version__,
    }


@contextlib.contextmanager
def _bars_on(console: Console) -> Iterator[None]:
    """NNCF draws progress bars on stdout and logs what it does."""
    # Not nncf.set_log_level: that also sets every handler its logger has, whosever they are.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(console.file if console.is_terminal else io.StringIO()):
        yield
