"""The model card: what a model is, what it was measured on, and what nobody should take it for.

After Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from contract.artifact import ModelManifest
from trainer.evaluate import ECE_BINS, Evaluation
from trainer.measure import Measurement

_COUNTS = ("epochs", "best_epoch", "seed")
_ADVICE = """\
## Read this first

- A label is an **apparent expression**: what people who look at the photo say it shows. It is not
  what the person feels, and must not be used as if it were: not for hiring, teaching, policing,
  insurance or health.
- The figures below hold for photos like those that were measured on. They say nothing of faces
  that are not among them: small children, very old people, covered or painted faces, faces from
  the side, infrared cameras. FER+, which the shipped model learned from, comes from an image
  search on the web; age, sex and origin of its people are not recorded, so **accuracy by group
  was not and cannot be measured on it**. Its photos are faces already: what the detector adds or
  costs in a video is not in figures measured on it.
- Rare emotions are measured on few photos (see n). Look at the interval before you believe a
  difference.
- For people in Korea a model trained on AI Hub's 한국인 감정인식을 위한 복합 영상 fits better.
  That set may not be passed on, and so is not shipped: `emotion-trainer prepare` reads it as it is
  downloaded, and `emotion-trainer train` builds a model of your own from it.
"""


def model_card(
    manifest: ModelManifest,
    measured: Sequence[Measurement],
    pictures: Mapping[str, str],
    int8: Measurement | None = None,
) -> str:
    """Markdown; `measured` is never empty, the first being the model's own test set.

    pictures  title -> file name beside the card
    int8      the first measurement again, of the model's int8 form
    """
    first, *others = measured
    trained_on = manifest.data.get("trained_on", {}).get(
        "name", "data that its maker did not state"
    )
    data = manifest.made.get("data", trained_on)
    parts = [
        f"# {manifest.name}\n",
        f"`{manifest.id}`, made from {data}.\n",
        _ADVICE,
        _facts(manifest),
        f"## Measured on {first.data}\n",
        _counts(first),
        _summary(first),
        _twins(first),
        _classes(first.single, manifest.labels),
        _sizes(first),
        *(() if int8 is None else _int8(first, int8)),
        *(f"![{title}]({file})\n" for title, file in pictures.items()),
    ]
    for other in others:
        parts += [
            f"## Measured on {other.data}, another data set\n",
            _counts(other),
            _summary(other),
            _twins(other),
            _classes(other.single, manifest.labels),
        ]
    parts.append(
        "Intervals are 95 %, by a percentile bootstrap over images. Macro-F1 is the mean of the "
        f"classes' F1. ECE: {ECE_BINS} bins of equal width (Guo et al. 2017), after the "
        "temperature. `emotion-trainer evaluate` made this page.\n"
    )
    return "\n".join(parts)


def _facts(manifest: ModelManifest) -> str:
    height, width, _ = manifest.input_shape
    fitted = _faces(manifest.data.get("calibrated_on"))
    rows = {
        "input": f"gray face crops, {width} x {height} pixels, values 0 to 255",
        "crop": None if manifest.crop is None else str(manifest.crop),
        "output": f"{len(manifest.labels)} emotions: {', '.join(manifest.labels)}",
        "temperature": f"{manifest.temperature:g}{fitted and f', fitted on {fitted}'}",
        "trained on": _faces(manifest.data.get("trained_on")),
        "trained by": _recipe(manifest.recipe),
        **{key: str(value) for key, value in manifest.made.items()},
        **{f"{key} with": ", ".join(f"{what} {number}" for what, number in found.items())
           for key, found in manifest.versions.items()},
        "sha256": f"`{manifest.sha256}`",
    }  # fmt: skip
    return _table(("", ""), [(f"**{key}**", value) for key, value in rows.items() if value])


def _faces(pack: Mapping[str, Any] | None) -> str:
    """A pack as a manifest's `data` has it, in words."""
    if not pack:
        return ""
    split = f", {pack['split']}" if "split" in pack else ""
    count = pack.get("n", pack.get("crops"))
    count = "" if count is None else f", {count:,} faces"
    return f"{pack.get('name', '')}{split}{count}, pack `{pack.get('fingerprint', '')[:12]}`"


def _recipe(recipe: Mapping[str, Any]) -> str | None:
    """A manifest's `recipe` in words; its values are in the manifest."""
    words = [f"recipe {recipe['name']}"] if "name" in recipe else []
    words += [f"{key.replace('_', ' ')} {recipe[key]:g}" for key in _COUNTS if key in recipe]
    return ", ".join(words) or None


def _int8(first: Measurement, int8: Measurement) -> list[str]:
    same = float((first.probabilities.argmax(axis=1) == int8.probabilities.argmax(axis=1)).mean())
    return [
        f"## The same in int8\n\nThe form that workers take on CPUs with VNNI. It gives {same:.1%} "
        "of the faces the same label.\n",
        _summary(int8),
        _sizes(int8),
    ]


def _counts(found: Measurement) -> str:
    counts = ", ".join(f"{count:,} {what}" for what, count in found.counts.items())
    return f"{counts}. Pack `{found.fingerprint[:12]}`.\n"


def _summary(found: Measurement) -> str:
    single, flipped = found.single, found.flipped
    return _table(
        ("", "as the worker does it", "95 %", "with the mirror image, too"),
        [
            ("accuracy", f"**{single.accuracy:.1%}**", _interval(single.accuracy_interval, 100),
             f"{flipped.accuracy:.1%}"),
            ("macro-F1", f"**{single.macro_f1:.3f}**", _interval(single.macro_f1_interval),
             f"{flipped.macro_f1:.3f}"),
            ("ECE", f"{single.ece_after:.3f}", f"{single.ece_before:.3f} without the temperature",
             f"{flipped.ece_after:.3f}"),
            ("cross-entropy with the votes", f"{found.votes_nll:.3f} nats", "", ""),
        ],
    )  # fmt: skip


def _twins(found: Measurement) -> str:
    """What is left when the photos are gone that are elsewhere in the data, too."""
    n = found.single.n
    if found.apart is None:
        return f"All {n:,} have a twin, nearly the same picture, in another part of the pack.\n"
    apart, twins = found.apart, n - found.apart.n
    if twins == 0:
        return "None has a twin, nearly the same picture, in another part of the pack.\n"
    return (
        f"{twins:,} of the {n:,} have a twin, nearly the same picture, in another part of the "
        f"pack, which may have trained the model. Without them, n={apart.n:,}: "
        f"accuracy **{apart.accuracy:.1%}** ({_interval(apart.accuracy_interval, 100)}), "
        f"macro-F1 {apart.macro_f1:.3f} ({_interval(apart.macro_f1_interval)}).\n"
    )


def _classes(found: Evaluation, labels: Sequence[str]) -> str:
    rows = [
        (
            label,
            f"{int(found.confusion[row].sum()):,}",
            *(_share(values[row]) for values in (found.recall, found.precision, found.f1)),
        )
        for row, label in enumerate(labels)
    ]
    return _table(("emotion", "n", "recall", "precision", "F1"), rows)


def _sizes(found: Measurement) -> str:
    if not found.by_size:
        return ""
    rows = [
        (f"{side} px", f"{one.accuracy:.1%}", _interval(one.accuracy_interval, 100),
         f"{one.macro_f1:.3f}")
        for side, one in sorted(found.by_size.items())
    ]  # fmt: skip
    return "Faces reduced to so many pixels a side, then measured:\n\n" + _table(
        ("face", "accuracy", "95 %", "macro-F1"), rows
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    text = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    return "\n".join(text) + "\n"


def _interval(interval: tuple[float, float], factor: float = 1.0) -> str:
    low, high = (bound * factor for bound in interval)
    return f"{low:.1f} to {high:.1f} %" if factor == 100 else f"{low:.3f} to {high:.3f}"


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
