"""`python -m trainer.gpu`: train where there is a GPU and little else installed.

Needs numpy, OpenCV, Keras and JAX (or TensorFlow) only; prints lines. For machines that are lent
for minutes: the run's folder stays there for the next call, what must come back goes to --out, in
files of at most 15 MiB (`cat model.keras.* > model.keras`).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from contract.errors import EmotionStreamError

PART_BYTES = 15 * 2**20


def main(argv: Sequence[str] | None = None) -> int:
    """Train, and lay out what must come back; returns the exit code."""
    given = _arguments(argv)
    # Before Keras is imported, which reads it once.
    os.environ.setdefault("KERAS_BACKEND", "jax")
    from trainer.fit import train
    from trainer.options import Options
    from trainer.pack import Pack
    from trainer.progress import Lines
    from trainer.recipe import read_recipe

    try:
        recipe = read_recipe(given.recipe, dict(_pair(item) for item in given.set))
        options = Options(
            seed=given.seed,
            teachers=tuple(given.teacher),
            minutes=given.minutes,
            answers=True,
        )
        outcome = train(Pack.open(given.pack), recipe, given.run, options, Lines(sys.stdout))
        if given.out is not None:
            bring_back(given.run, given.out)
    except EmotionStreamError as error:
        print(f"trainer.gpu: {error}", file=sys.stderr)
        return error.exit_code
    best = outcome.best
    print(
        f"{'finished' if outcome.finished else 'stopped'} after {outcome.epochs} epochs; best: "
        f"epoch {best['epoch']:.0f}, {100 * best['valid_accuracy']:.2f} % on validation"
    )
    return 0


def bring_back(run: Path, out: Path) -> None:
    """Copy a run's results to `out`, the model in float16 and in parts that a loan lets through."""
    from trainer.half import write_half
    from trainer.whole import whole

    out.mkdir(parents=True, exist_ok=True)
    half = run / "model.half.keras"
    write_half(run / "model.keras", half)
    content = half.read_bytes()
    half.unlink()
    for number, start in enumerate(range(0, len(content), PART_BYTES)):
        with whole(out / f"model.keras.{number}") as unfinished:
            unfinished.write_bytes(content[start : start + PART_BYTES])
    for name in ("run.json", "history.json", "answers.npz"):
        if (run / name).is_file():
            with whole(out / name) as unfinished:
                unfinished.write_bytes((run / name).read_bytes())


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m trainer.gpu", description=__doc__)
    parser.add_argument("pack", type=Path, help="made by emotion-trainer prepare")
    parser.add_argument("--recipe", default="best", help="by name, or a .toml file")
    parser.add_argument("--run", type=Path, required=True, help="the run's folder; goes on in it")
    parser.add_argument("--out", type=Path, help="folder for what must come back")
    parser.add_argument("--minutes", type=float, help="stop before this has passed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--teacher", type=Path, action="append", default=[], help="repeatable")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="repeatable"
    )
    return parser.parse_args(argv)


def _pair(item: str) -> tuple[str, str]:
    key, _, value = item.partition("=")
    return key.strip(), value.strip()


if __name__ == "__main__":
    sys.exit(main())
