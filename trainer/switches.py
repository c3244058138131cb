"""What the classifier is made of: every change to a stock ResNet50 by name. Needs no Keras."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ModelSwitches:
    """What the network is. The defaults are `keras.applications.ResNet50` (He 2015).

    Costs are of 96x96 crops and 8 classes; G is 10^9 multiply-adds, `trainer.cost` counts them.
    Stock: 23.6 M parameters, 0.69 G.

    side_px        the crops' width and height, a multiple of 32
    blocks         bottlenecks in each of the four stages
    width          all filters times this, rounded to multiples of 8
    min_max        stretch each crop to its full range first: (x - min) / (max - min + epsilon).
                   What the seed did outside its model; there a flat crop divided by zero
    values         what the first convolution sees: gray levels as they come, or scaled
    stem           "7x7": one convolution, stride 2; "3x3x3": three of 3x3 with 32, 32, 64 filters,
                   the first with stride 2. He 2019 (arXiv 1812.01187), ResNet-C. +0.06 G
    stem_pool      the max-pool after the stem; without it 2.75 G, and no better on FER+
    stride_on      the convolution that halves a stage: "1x1" (the first: 3/4 of its input is never
                   read) or "3x3" (ResNet-B). +0.04 G
    shortcut       "conv": 1x1 with stride; "avgpool": 2x2 mean, then 1x1 (ResNet-D). The same cost
    se             squeeze-excite in every block, hidden width = this share of the 3x3's filters;
                   0 = none. Hu 2018 (arXiv 1709.01507). 1/4: +2.5 M parameters
    blur_pool      low-pass 1-2-1 before each halving after the stem's. Zhang 2019
                   (arXiv 1904.11486). +0.19 G on top of `stride_on` "3x3"
    zero_init      each block starts as its shortcut: last gamma 0. Goyal 2017 (arXiv 1706.02677)
    drop_path      chance that the last block is skipped for an image, less in earlier ones. Huang
                   2016 (arXiv 1603.09382)
    pool           "avg"; "gem": generalised mean, power 3 (Radenovic 2018, arXiv 1711.02512);
                   "attention": a mean weighted by a 1x1 convolution and a softmax
    dropout        before the classifier
    conv_bias      convolutions have a bias although a batch norm follows (stock does)
    he_init        He 2015 normal, not Glorot uniform
    norm_momentum  of the batch norms' running mean and variance
    norm_epsilon   of the batch norms
    """

    side_px: int = 96
    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    width: float = 1.0
    min_max: bool = False
    min_max_epsilon: float = 1e-3
    values: Literal["0..255", "-1..1"] = "0..255"
    stem: Literal["7x7", "3x3x3"] = "7x7"
    stem_pool: bool = True
    stride_on: Literal["1x1", "3x3"] = "1x1"
    shortcut: Literal["conv", "avgpool"] = "conv"
    se: float = 0.0
    blur_pool: bool = False
    zero_init: bool = False
    drop_path: float = 0.0
    pool: Literal["avg", "gem", "attention"] = "avg"
    dropout: float = 0.0
    conv_bias: bool = True
    he_init: bool = False
    norm_momentum: float = 0.99
    norm_epsilon: float = 1.001e-5

    def __post_init__(self) -> None:
        if self.side_px < 32 or self.side_px % 32:
            raise ValueError(f"side_px: expected a multiple of 32, got {self.side_px}")
        if len(self.blocks) != 4 or min(self.blocks) < 1:
            raise ValueError(f"blocks: expected 4 numbers of at least 1, got {self.blocks}")
        if self.width <= 0:
            raise ValueError(f"width: expected more than 0, got {self.width}")
        if self.blur_pool and self.stride_on == "1x1":
            raise ValueError('blur_pool: needs stride_on = "3x3"')
        for name in ("drop_path", "dropout", "se", "norm_momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 0 to below 1, got {getattr(self, name)}")
        if self.min_max_epsilon <= 0 or self.norm_epsilon <= 0:
            raise ValueError("min_max_epsilon, norm_epsilon: expected more than 0")


# The modified ResNet50 of DESIGN's table: 26.1 M parameters, 0.80 G.
REFERENCE = ModelSwitches(
    min_max=True,
    values="-1..1",
    stem="3x3x3",
    stride_on="3x3",
    shortcut="avgpool",
    se=0.25,
    zero_init=True,
    drop_path=0.2,
    dropout=0.4,
    conv_bias=False,
    he_init=True,
    norm_momentum=0.9,
    norm_epsilon=1e-5,
)
