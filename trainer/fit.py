"""One training run, from a pack to the best weights on validation; goes on where it was killed.

Plain Keras `fit`: TensorFlow and JAX alike. Needs no settings, no rich: a machine with a GPU has
little installed (`python -m trainer.gpu`).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from contract.errors import UsageError
from trainer import targets as wanted
from trainer.board import Board, require_tensorboard
from trainer.crops import resized
from trainer.curves import draw_curves
from trainer.feed import Feed
from trainer.judge import Judge
from trainer.keeper import Keeper, Valid
from trainer.model import build
from trainer.options import Options
from trainer.pack import NO_MAJORITY, Pack
from trainer.progress import Lines, Progress
from trainer.recipe import Recipe, as_toml
from trainer.run_folder import RunFolder
from trainer.sharpness import SharpTraining
from trainer.teachers import answers_of, write_answers
from trainer.training import Training, optimizer
from trainer.versions import versions
from trainer.whole import whole

_MB = 10**6


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run stands.

    finished   False: stopped by `minutes` or `stop`; the same call goes on
    epochs     done
    best       the history entry of the best epoch
    """

    finished: bool
    epochs: int
    best: dict[str, float]


def train(
    pack: Pack,
    recipe: Recipe,
    out: Path,
    options: Options | None = None,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Train into the folder `out`; a run already in it goes on, one that has ended is returned.

    Raises `UsageError` for a pack that cannot be learned from or a folder of another run,
    `Diverged` when the loss becomes NaN. A KeyboardInterrupt leaves the last state saved.
    """
    options, progress = options or Options(), progress or Lines()
    if options.log_dir is not None:
        require_tensorboard()
    started_s = clock()
    rows = wanted.training_rows(pack, recipe.train)
    valid_rows = pack.split("valid")
    valid_rows = valid_rows[pack.truth[valid_rows] != NO_MAJORITY]
    if len(valid_rows) == 0:
        raise UsageError(f"{pack.path}: expected validation crops with a majority, got none")
    folder = RunFolder(out)
    folder.claim(_inputs(pack, recipe, options), as_toml(recipe))
    if ended := (folder.about() or {}).get("outcome"):
        progress.note(f"{out}: this run has ended")
        return Outcome(True, ended["epochs"], ended["best"])

    own = wanted.targets(pack, rows, recipe.train)
    taught = [answers_of(teacher, pack, rows, progress.note) for teacher in options.teachers]
    goals = wanted.with_teachers(own, taught, recipe.train.teacher_share)

    dtype = options.dtype or ("mixed_bfloat16" if on_gpu() else "float32")
    keras.utils.set_random_seed(options.seed)
    network = build(recipe.model, len(pack.labels), dtype)
    crops = _held(pack, rows, recipe, options)
    kind = SharpTraining if recipe.train.sam else Training
    training = kind(network, recipe, goals, wanted.log_shares(goals), crops, options.seed)
    feed = Feed(pack, rows, recipe, options.seed, held=crops is not None)
    made = optimizer(recipe.train, feed.steps, network)
    training.compile(optimizer=made, jit_compile=_compiled(options))
    made.build(network.trainable_variables)

    valid = Valid(
        resized(pack.images(valid_rows, threads=4), recipe.model.side_px),
        pack.truth[valid_rows],
        wanted.targets(pack, valid_rows, recipe.train),
    )
    judge = Judge(build(recipe.model, len(pack.labels), dtype), 1024 if on_gpu() else 256)
    keeper = Keeper(folder, training, feed, judge, valid, options, progress, clock, started_s)
    state = folder.load()
    if state is not None:
        keeper.restore(state)
        progress.note(f"going on after epoch {state.epoch}")
    progress.note(
        f"{len(rows):,} crops, {feed.steps:,} steps an epoch, {dtype}, {keras.config.backend()}, "
        f"seed {options.seed}"
    )
    if keeper.epoch < recipe.train.epochs:
        boards = [] if options.log_dir is None else [Board(options.log_dir, keeper.newest)]
        training.fit(
            feed,
            epochs=recipe.train.epochs,
            initial_epoch=keeper.epoch,
            callbacks=[keeper, *boards],
            shuffle=False,  # the feed knows the order, of every epoch
            verbose=0,
        )
    return _ended(folder, keeper, pack, rows, recipe, options)


def save_model(path: Path, recipe: Recipe, labels: int, values: Sequence[npt.NDArray[Any]]) -> None:
    """A network with these weights as a float32 .keras file, written whole."""
    network = build(recipe.model, labels)
    network.set_weights(list(values))
    with whole(path) as unfinished:
        network.save(unfinished)


def on_gpu() -> bool:
    """Whether Keras runs on one."""
    if keras.config.backend() == "jax":
        import jax

        return bool(jax.default_backend() == "gpu")
    if keras.config.backend() == "tensorflow":
        import tensorflow

        return bool(tensorflow.config.list_physical_devices("GPU"))
    return False


def _ended(
    folder: RunFolder,
    keeper: Keeper,
    pack: Pack,
    rows: npt.NDArray[np.int64],
    recipe: Recipe,
    options: Options,
) -> Outcome:
    best = dict(keeper.best)
    finished = keeper.epoch >= recipe.train.epochs or keeper.out_of_patience
    folder.write_history(keeper.history)
    if find_spec("matplotlib") is not None:  # not on every machine that is lent
        title = f"{pack.header.name}, recipe {recipe.name}, seed {options.seed}"
        draw_curves(folder.path / "curves.png", keeper.history, title)
    save_model(folder.model, recipe, len(pack.labels), keeper.best_values)
    if options.answers:
        keeper.judge.take(keeper.best_values)
        found = [
            keeper.judge.answers(
                resized(pack.images(rows[start : start + 4096], threads=4), recipe.model.side_px)
            )
            for start in range(0, len(rows), 4096)
        ]
        write_answers(folder.path / "answers.npz", pack, rows, np.concatenate(found))
    if finished:
        spent = {"seconds": keeper.seconds, "versions": versions()}
        folder.end({"epochs": keeper.epoch, "best": best, **spent})
    return Outcome(finished, keeper.epoch, best)


def _inputs(pack: Pack, recipe: Recipe, options: Options) -> dict[str, Any]:
    """What the result depends on, and what it is called."""
    return {
        "pack": pack.header.fingerprint,
        "pack_name": pack.header.name,
        "slimmed_from": pack.header.made.get("slimmed from"),
        "labels": list(pack.labels),
        "faces": pack.header.made.get("faces"),
        "crop": pack.header.made.get("crop"),
        "crops": len(pack.split("train")),
        "recipe_name": recipe.name,
        "recipe": as_toml(recipe),
        "seed": options.seed,
        "teachers": [_sha256(teacher) for teacher in options.teachers],
        "keras": keras.__version__,
        "backend": keras.config.backend(),
    }


def _sha256(teacher: Path) -> str:
    if not teacher.is_file():
        raise UsageError(f"{teacher}: no such teacher")
    with teacher.open("rb") as stream:  # not contract.artifact's: that needs msgpack
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _held(
    pack: Pack, rows: npt.NDArray[np.int64], recipe: Recipe, options: Options
) -> npt.NDArray[np.uint8] | None:
    if len(rows) * pack.header.side_px**2 > options.held_mb * _MB:
        return None
    return pack.images(rows, threads=4)


def _compiled(options: Options) -> bool:
    if options.compiled is not None:
        return options.compiled
    return keras.config.backend() == "jax" or on_gpu()
