"""Recipes: small TOML files that say how a model is made. Needs no Keras.

A recipe is one of `trainer/recipes/` by name, or a file of the user's. What it leaves out has the
default below; a key it invents is refused with the nearest name.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from contract.errors import UsageError
from trainer.switches import ModelSwitches

FOLDER = Path(__file__).parent / "recipes"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """How training crops are varied; every value off by default. Ranges are uniform.

    rotation_deg      turned by up to this, either way
    shift             moved by up to this share of the side, each way; edge pixels are repeated
    shear_deg         as ImageDataGenerator shears: columns lean by up to this
    zoom              scaled by 1 - zoom to 1 + zoom
    zoom_keeps_shape  both axes by the same factor; ImageDataGenerator draws two
    flip              mirrored, half of the time
    contrast          gray levels' distance from the crop's mean times 1 - c to 1 + c
    brightness        gray levels plus up to this share of 255, either way
    noise_sigma       low and high of the sigma, drawn per crop, of normal noise in gray levels
    low_resolution    chance that a crop is seen as a small face is: a quarter of its pixels across
    erase             chance that a rectangle of 2-25 % of the crop becomes noise. Zhong 2017
                      (arXiv 1708.04896)
    mixup             alpha of the Beta distribution two crops and their targets are mixed by. Zhang
                      2017 (arXiv 1710.09412)
    """

    rotation_deg: float = 0.0
    shift: float = 0.0
    shear_deg: float = 0.0
    zoom: float = 0.0
    zoom_keeps_shape: bool = True
    flip: bool = False
    contrast: float = 0.0
    brightness: float = 0.0
    noise_sigma: tuple[float, float] = (0.0, 0.0)
    low_resolution: float = 0.0
    erase: float = 0.0
    mixup: float = 0.0

    def __post_init__(self) -> None:
        low, high = self.noise_sigma
        if not 0 <= low <= high:
            raise ValueError(f"noise_sigma: expected 0 <= low <= high, got {[low, high]}")
        for name in ("shift", "zoom", "contrast", "erase", "low_resolution"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected 0 to 1, got {getattr(self, name)}")
        for name in ("rotation_deg", "shear_deg", "brightness", "mixup"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How the weights are found.

    epochs           passes over the training crops; the cosine ends with the last
    batch            crops a step
    optimizer        "sgd" (Nesterov, momentum 0.9) or "adam"
    rate             the learning rate at its highest
    schedule         "cosine" to 0, or "constant"
    warm_up_epochs   the rate rises from 0 in so many
    weight_decay     of kernels only, never of biases and batch norms. With sgd, added to the
                     gradient times the weight; with adam, taken off the weight times the rate
    decay_squeeze    also of squeeze-excite's kernels. In the reference, decay has brought them to
                     zero in every block: they do nothing
    targets          "votes": their distribution; "hard": the majority
    min_votes        a label with fewer of a crop's votes than this counts as not voted for, unless
                     all have
    ambiguous        also learn from crops without a majority (with "votes" only)
    smoothing        share of every target spread evenly over the labels
    teacher_share    share of the targets that comes from teachers, where there are any (--teacher)
    logit_adjust     tau: logits plus tau log(class share) in the loss, for rare classes. Menon 2020
                     (arXiv 2007.07314)
    sam              rho: a step follows the gradient at the worst point this far away, and costs
                     twice as much; 0 = where the weights are. Foret 2021 (arXiv 2010.01412)
    ema              momentum of the running mean of all weights that is kept; 0 = the last weights
    clip_norm        longest gradient; 0 = any
    patience         epochs without a better validation accuracy, or the same at a lower loss, until
                     training ends; 0 = never
    """

    epochs: int = 100
    batch: int = 128
    optimizer: Literal["sgd", "adam"] = "sgd"
    rate: float = 0.1
    schedule: Literal["cosine", "constant"] = "cosine"
    warm_up_epochs: float = 5.0
    weight_decay: float = 5e-4
    decay_squeeze: bool = True
    targets: Literal["votes", "hard"] = "votes"
    min_votes: float = 2.0
    ambiguous: bool = False
    smoothing: float = 0.0
    teacher_share: float = 0.5
    logit_adjust: float = 0.0
    sam: float = 0.0
    ema: float = 0.9995
    clip_norm: float = 5.0
    patience: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.rate <= 0:
            raise ValueError(f"rate: expected more than 0, got {self.rate}")
        for name in ("smoothing", "teacher_share", "ema"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected 0 to 1, got {getattr(self, name)}")
        for name in ("warm_up_epochs", "weight_decay", "min_votes", "sam", "clip_norm", "patience"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        if self.ambiguous and self.targets == "hard":
            raise ValueError('ambiguous: a crop without a majority has no target when "hard"')


@dataclass(frozen=True, slots=True)
class Recipe:
    """A model, its augmentation and its training."""

    name: str = ""
    model: ModelSwitches = field(default_factory=ModelSwitches)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    train: TrainSettings = field(default_factory=TrainSettings)


def read_recipe(name: str, changes: Mapping[str, str] | None = None) -> Recipe:
    """A shipped recipe by name, or one in a file whose path ends in .toml.

    `changes` sets single keys over it: {"train.epochs": "30"}, each value as TOML (a bare word is
    text). Raises `UsageError` naming the file, the key and what was expected.
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        shipped = ", ".join(sorted(file.stem for file in FOLDER.glob("*.toml")))
        raise UsageError(f"{name}: no such recipe; shipped: {shipped}; or a .toml file") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot read the recipe: {error}") from error
    where = str(path)
    for key, value in (changes or {}).items():
        section, _, entry = key.partition(".")
        raw.setdefault(section, {})
        if not entry or not isinstance(raw[section], dict):
            raise UsageError(f"--set {key}: expected SECTION.KEY, as in train.epochs")
        raw[section][entry] = _toml_value(value)
        where = f"{path} with --set"
    return _read(Recipe, raw | {"name": path.stem}, where)


def as_toml(recipe: Recipe) -> str:
    """The recipe with every default written out; `read_recipe` gives the same one back."""
    lines = [f'# Recipe "{recipe.name}", every value written out.']
    for section in ("model", "augment", "train"):
        values = asdict(getattr(recipe, section))
        # JSON's numbers, booleans, strings and lists of them are TOML's too.
        lines += ["", f"[{section}]", *(f"{key} = {json.dumps(values[key])}" for key in values)]
    return "\n".join(lines) + "\n"


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _read(kind: type[T], raw: Mapping[str, Any], where: str) -> T:
    """A dataclass of TOML's values; its own checks and the types of its fields decide."""
    hints = get_type_hints(kind)
    known = [entry.name for entry in fields(kind)]  # type: ignore[arg-type]
    values = {}
    for key, value in raw.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1, 0.0)
            raise UsageError(f"{where}: unknown {key!r}: did you mean {near[0]!r}?")
        try:
            if isinstance(hints[key], type) and hasattr(hints[key], "__dataclass_fields__"):
                if not isinstance(value, dict):
                    raise ValueError("expected a section")
                values[key] = _read(hints[key], value, f"{where}: [{key}]")
            else:
                values[key] = _checked(value, hints[key])
        except ValueError as error:
            raise UsageError(f"{where}: {key}: {error}") from error
    try:
        return kind(**values)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error


def _checked(value: Any, hint: Any) -> Any:
    if get_origin(hint) is Literal:
        if value in get_args(hint) and isinstance(value, str):
            return value
        raise ValueError(f"expected one of {', '.join(get_args(hint))}, got {value!r}")
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        if not isinstance(value, list) or len(value) != len(kinds):
            raise ValueError(f"expected {len(kinds)} numbers, got {value!r}")
        return tuple(_checked(item, kind) for item, kind in zip(value, kinds, strict=True))
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint or value != value or value in (float("inf"), float("-inf")):
        word = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}
        raise ValueError(f"expected {word[hint]}, got {value!r}")
    return value
