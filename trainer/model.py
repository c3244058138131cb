"""The classifier: a stock ResNet50 and every change to it, each a named switch.

Input (N, side, side, 1) float32, one gray face crop, values 0..255. Output (N, classes) logits.
Made of Keras' own layers and operations only, so that `keras.models.load_model` reads the file
where this project is not installed.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from trainer.switches import ModelSwitches

FILTERS = (64, 128, 256, 512)
EXPANSION = 4  # a bottleneck ends four times as wide as its 3x3
_GEM_POWER = 3.0
_TINY = 1e-6


def build(switches: ModelSwitches, classes: int, dtype: str = "float32") -> Any:
    """A new `keras.Model`, its weights drawn from Keras' global seed.

    `dtype` is a Keras policy ("mixed_bfloat16" on a GPU); input and logits are float32 with any.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        return _Builder(switches).model(classes)
    finally:
        keras.config.set_dtype_policy(before)


class _Builder:
    """The layers, one method each; shapes at line ends are of side 96 and width 1."""

    def __init__(self, switches: ModelSwitches) -> None:
        self.switches = switches

    def model(self, classes: int) -> Any:
        switches, side_px = self.switches, self.switches.side_px
        crops = keras.Input((side_px, side_px, 1), dtype="float32", name="crop")
        x = self.stem(self.scaled(crops))  # (24, 24, 64)
        count, number = sum(switches.blocks), 0
        for stage, blocks in enumerate(switches.blocks):
            for block in range(blocks):
                x = self.block(
                    x,
                    f"stage{stage + 1}_block{block + 1}",
                    filters=self.filters(FILTERS[stage]),
                    halve=stage > 0 and block == 0,
                    project=block == 0,
                    drop_path=switches.drop_path * number / count,
                )
                number += 1
        x = self.pool(x)  # (3, 3, 2048) -> (2048)
        if switches.dropout:
            x = layers.Dropout(switches.dropout, name="dropout")(x)
        # Logits in float32: bfloat16 holds three digits, and the loss is a difference of them.
        logits = layers.Dense(classes, name="logits", dtype="float32")(x)
        return keras.Model(crops, logits, name="resnet50")

    def filters(self, filters: int) -> int:
        return max(8, round(filters * self.switches.width / 8) * 8)

    def scaled(self, crops: Any) -> Any:
        switches = self.switches
        if not switches.min_max:
            return crops if switches.values == "0..255" else crops / 127.5 - 1
        low = ops.amin(crops, axis=(1, 2, 3), keepdims=True)
        high = ops.amax(crops, axis=(1, 2, 3), keepdims=True)
        unit = (crops - low) / (high - low + switches.min_max_epsilon)
        return unit * 255 if switches.values == "0..255" else unit * 2 - 1

    def stem(self, x: Any) -> Any:
        wide = self.filters(64)
        if self.switches.stem == "7x7":
            x = self.conv(x, wide, 7, "stem_conv", stride=2)  # (48, 48, 64)
            x = self.norm_relu(x, "stem")
        else:
            for number, filters in enumerate((wide // 2, wide // 2, wide), 1):
                stride = 2 if number == 1 else 1
                x = self.conv(x, filters, 3, f"stem_conv{number}", stride=stride)
                x = self.norm_relu(x, f"stem{number}")  # (48, 48, 32 32 64)
        if not self.switches.stem_pool:
            return x
        blur = self.switches.blur_pool
        x = layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
        x = layers.MaxPooling2D(3, 1 if blur else 2, name="stem_pool")(x)
        return _blurred(x, "stem_pool") if blur else x

    def block(
        self, x: Any, name: str, *, filters: int, halve: bool, project: bool, drop_path: float
    ) -> Any:
        """1x1, 3x3, 1x1 beside a shortcut. (h, w, c) -> (h, w, 4 filters), halved if asked."""
        switches = self.switches
        stride = 2 if halve else 1
        wide = EXPANSION * filters
        shortcut = self.shortcut(x, wide, stride, name) if project else x

        first, second = (stride, 1) if switches.stride_on == "1x1" else (1, stride)
        blur = switches.blur_pool and second == 2
        x = self.conv(x, filters, 1, f"{name}_conv1", stride=first)
        x = self.norm_relu(x, f"{name}_1")
        x = self.conv(x, filters, 3, f"{name}_conv2", stride=1 if blur else second)
        x = self.norm_relu(x, f"{name}_2")
        if blur:
            x = _blurred(x, name)
        x = self.conv(x, wide, 1, f"{name}_conv3")
        x = self.norm(x, f"{name}_3", zero=switches.zero_init)
        if switches.se:
            x = _squeeze_excite(x, max(8, round(filters * switches.se)), name)
        if drop_path:
            x = layers.Dropout(drop_path, (None, 1, 1, 1), name=f"{name}_drop_path")(x)
        x = layers.Add(name=f"{name}_add")([x, shortcut])
        return layers.ReLU(name=f"{name}_out")(x)

    def shortcut(self, x: Any, filters: int, stride: int, name: str) -> Any:
        if self.switches.shortcut == "avgpool" and stride == 2:
            x, stride = layers.AveragePooling2D(2, name=f"{name}_shortcut_pool")(x), 1
        x = self.conv(x, filters, 1, f"{name}_shortcut", stride=stride)
        return self.norm(x, f"{name}_shortcut")

    def pool(self, x: Any) -> Any:
        if self.switches.pool == "gem":
            x = ops.power(ops.maximum(ops.cast(x, "float32"), _TINY), _GEM_POWER)
            x = layers.GlobalAveragePooling2D(name="pool", dtype="float32")(x)
            return ops.power(x, 1 / _GEM_POWER)
        if self.switches.pool == "attention":
            channels = x.shape[-1]
            weights = layers.Conv2D(1, 1, kernel_initializer="zeros", name="attention")(x)
            weights = layers.Softmax(axis=1, name="attention_share")(
                layers.Reshape((-1, 1))(weights)
            )
            x = layers.Dot(1, name="pool")([layers.Reshape((-1, channels))(x), weights])
            return layers.Flatten()(x)
        return layers.GlobalAveragePooling2D(name="pool")(x)

    def conv(self, x: Any, filters: int, kernel: int, name: str, stride: int = 1) -> Any:
        padding = "same"
        if stride == 2 and kernel > 1:
            # Keras' "same" would pad an even side on the right and below only.
            x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
            padding = "valid"
        return layers.Conv2D(
            filters,
            kernel,
            stride,
            padding,
            use_bias=self.switches.conv_bias,
            kernel_initializer="he_normal" if self.switches.he_init else "glorot_uniform",
            name=name,
        )(x)

    def norm(self, x: Any, name: str, *, zero: bool = False) -> Any:
        return layers.BatchNormalization(
            momentum=self.switches.norm_momentum,
            epsilon=self.switches.norm_epsilon,
            gamma_initializer="zeros" if zero else "ones",
            name=f"{name}_norm",
        )(x)

    def norm_relu(self, x: Any, name: str) -> Any:
        return layers.ReLU(name=f"{name}_relu")(self.norm(x, name))


def _blurred(x: Any, name: str) -> Any:
    """Halved after a 1-2-1 filter in both directions: two means of two make one."""
    x = layers.ZeroPadding2D(1, name=f"{name}_blur_pad")(x)
    x = layers.AveragePooling2D(2, 1, name=f"{name}_blur1")(x)
    return layers.AveragePooling2D(2, 2, name=f"{name}_blur2")(x)


def _squeeze_excite(x: Any, hidden: int, name: str) -> Any:
    share = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_mean")(x)
    share = layers.Conv2D(hidden, 1, activation="relu", name=f"{name}_squeeze")(share)
    share = layers.Conv2D(x.shape[-1], 1, activation="sigmoid", name=f"{name}_excite")(share)
    return layers.Multiply(name=f"{name}_scale")([x, share])
