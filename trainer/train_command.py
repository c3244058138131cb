"""`emotion-trainer train` and `ablate` in a terminal."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from contract.process.logs import native_output_to_debug
from contract.process.stop import stop_on_signals
from trainer.pack import Pack
from trainer.progress import Bar, Lines, Progress
from trainer.recipe import read_recipe
from trainer.train_settings import AblateSettings, TrainCommandSettings

STOPPED = 130  # what a shell expects after Ctrl-C


def run_train(settings: TrainCommandSettings) -> int:
    """Do it; returns the exit code."""
    recipe = read_recipe(settings.recipe, settings.changes)
    pack = Pack.open(settings.pack)
    with _talking() as progress:
        _load_keras(progress)
        from trainer.fit import train
        from trainer.options import Options

        options = Options(
            seed=settings.seed,
            teachers=tuple(settings.teacher),
            minutes=settings.minutes,
            save_every_s=settings.save_every,
            held_mb=settings.held_mb,
            answers=settings.answers,
            log_dir=settings.tensorboard,
            stop=_stop(progress),
        )
        try:
            outcome = train(pack, recipe, settings.out, options, progress)
        except KeyboardInterrupt:
            progress.note("stopped; the same command goes on from the last save")
            return STOPPED
    best = outcome.best
    print(
        f"{settings.out / 'model.keras'}: {100 * best['valid_accuracy']:.2f} % on validation "
        f"(epoch {best['epoch']:.0f} of {outcome.epochs})"
    )
    if not outcome.finished:
        print("not finished: the same command goes on")
    else:
        print(f"next: emotion-trainer export {settings.out / 'model.keras'} "
              f"--calibrate {settings.pack} --out artifacts")  # fmt: skip
    return STOPPED if options.stop is not None and options.stop.is_set() else 0


def run_ablate(settings: AblateSettings) -> int:
    """Do it; returns the exit code."""
    recipe = read_recipe(settings.recipe, settings.changes)
    pack = Pack.open(settings.pack)
    with _talking() as progress:
        _load_keras(progress)
        from trainer.ablate import ablate

        try:
            table = ablate(
                pack,
                recipe,
                settings.out,
                epochs=settings.epochs,
                seeds=settings.seeds,
                minutes=settings.minutes,
                held_mb=settings.held_mb,
                progress=progress,
                stop=_stop(progress),
            )
        except KeyboardInterrupt:
            progress.note("stopped; the same command goes on from the last save")
            return STOPPED
    print(table)
    return 0


def _load_keras(progress: Progress) -> None:
    """Import it, what TensorFlow says of itself withheld."""
    progress.note("loading Keras ...")
    # Of its notes one comes in the middle of our lines: how it sets malloc up.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    with native_output_to_debug():
        from trainer.fit import on_gpu

        on_gpu()  # it looks for one now, and says what it found, not when training begins


def _stop(progress: Progress) -> threading.Event:
    """Set by Ctrl-C; a second one does not wait for the epoch's end."""
    progress.note("Ctrl-C ends after the epoch in hand, twice at once")
    return stop_on_signals()


@contextmanager
def _talking() -> Iterator[Progress]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines(sys.stderr)
        return
    with Bar(console) as bar:
        yield bar
