"""Keras without TensorFlow's graphs, for tests of what a run does and not of how it is computed.

To trace the graph of a training step takes longer than the few steps of such a run. The runs that
are compared with each other to the last digit are traced, as users' are.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import keras


@contextmanager
def eagerly() -> Iterator[None]:
    """What is compiled in this block runs operation by operation."""
    if keras.config.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    try:
        with warnings.catch_warnings():
            # That tf.data stays as it is.
            warnings.filterwarnings("ignore", "Even though the `tf.config", UserWarning)
            yield
    finally:
        tf.config.run_functions_eagerly(False)
