"""What other models answer on a pack's training crops: the soft targets of a student.

Hinton 2015 (arXiv 1503.02531). A teacher is a .keras file, or the small file of its answers that
`write_answers` made: a machine that is lent for minutes need not be sent the model.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contract.errors import UsageError
from trainer.crops import resized
from trainer.pack import Pack
from trainer.whole import whole

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def write_answers(path: Path, pack: Pack, rows: Ints, answers: Floats) -> None:
    """Probabilities (rows, labels) for `rows` of `pack`, as float16: 0.4 MB for FER+."""
    with whole(path) as unfinished, unfinished.open("wb") as stream:
        np.savez(
            stream,
            fingerprint=np.array(pack.header.fingerprint),
            rows=rows.astype(np.int32),
            answers=answers.astype(np.float16),
        )


def read_answers(path: Path, pack: Pack, rows: Ints) -> Floats:
    """(rows, labels) float32 of a .npz of answers. Raises `UsageError` naming the file."""
    try:
        with np.load(path) as stored:
            fingerprint = str(stored["fingerprint"])
            known, answers = stored["rows"], stored["answers"].astype(np.float32)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise UsageError(f"{path}: cannot read a teacher's answers: {error}") from error
    if fingerprint != pack.header.fingerprint:
        raise UsageError(f"{path}: holds answers about another pack than {pack.path}")
    place = {int(row): number for number, row in enumerate(known)}
    if missing := [row for row in rows.tolist() if row not in place]:
        raise UsageError(f"{path}: has no answer for {len(missing):,} of the training crops")
    return np.asarray(answers[[place[row] for row in rows.tolist()]])


def answers_of(
    teacher: Path, pack: Pack, rows: Ints, on_progress: Callable[[str], object] = lambda text: None
) -> Floats:
    """A teacher's answers (rows, labels) float32, from its .npz or by asking the model."""
    if teacher.suffix == ".npz":
        return read_answers(teacher, pack, rows)
    if teacher.suffix != ".keras":  # HDF5 has no safe mode: it may bring code along
        raise UsageError(f"{teacher}: expected a .keras or .npz file")
    import keras

    try:
        model: Any = keras.models.load_model(teacher, compile=False, safe_mode=True)
    except Exception as error:  # keras raises many kinds, all of them about this file
        raise UsageError(f"{teacher}: Keras cannot load it: {error}") from error
    if model.output_shape[1] != len(pack.labels):
        raise UsageError(
            f"{teacher}: expected {len(pack.labels)} outputs, one for each label of {pack.path}, "
            f"got {model.output_shape[1]}"
        )
    from trainer.judge import Judge

    on_progress(f"asking {teacher.name} about {len(rows):,} crops")
    judge = Judge(model)
    side_px = model.input_shape[1]
    parts = [
        judge.answers(resized(pack.images(rows[start : start + 4096], threads=4), side_px))
        for start in range(0, len(rows), 4096)
    ]
    return np.concatenate(parts)
