"""`emotion-trainer`: settings in, the command's work, exit code out."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from contract.errors import EmotionStreamError, UsageError
from contract.process.command import run_command
from contract.process.settings import read_settings
from trainer.export_settings import ExportSettings
from trainer.settings import (
    EvaluateSettings,
    PrepareSettings,
    QuantizeSettings,
    TrainerSettings,
    quoted,
)
from trainer.train_settings import AblateSettings, TrainCommandSettings

PROGRAM = "emotion-trainer"
COMMANDS = "prepare, train, ablate, evaluate, export or quantize"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command, rest = arguments[:1], quoted(arguments[1:])
    # Each command reads its own settings, so that a fault names --limit and not --evaluate.limit.
    if command == ["prepare"]:
        return run_command(PrepareSettings, f"{PROGRAM} prepare", _prepare, rest)
    if command == ["train"]:
        return run_command(TrainCommandSettings, f"{PROGRAM} train", _train, rest)
    if command == ["ablate"]:
        return run_command(AblateSettings, f"{PROGRAM} ablate", _ablate, rest)
    if command == ["evaluate"]:
        return run_command(EvaluateSettings, f"{PROGRAM} evaluate", _evaluate, rest)
    if command == ["export"]:
        return run_command(ExportSettings, f"{PROGRAM} export", _export, rest)
    if command == ["quantize"]:
        return run_command(QuantizeSettings, f"{PROGRAM} quantize", _quantize, rest)
    return _no_command(arguments)


def _no_command(arguments: Sequence[str]) -> int:
    """--help, an unknown command or none at all: argparse answers the first two and exits."""
    try:
        read_settings(TrainerSettings, PROGRAM, arguments)
        raise UsageError(f"expected a command: {COMMANDS} (see {PROGRAM} --help)")
    except EmotionStreamError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return error.exit_code


def _prepare(settings: PrepareSettings) -> int:
    from trainer.prepare.command import run

    return run(settings)


def _train(settings: TrainCommandSettings) -> int:
    from trainer.train_command import run_train

    return run_train(settings)


def _ablate(settings: AblateSettings) -> int:
    from trainer.train_command import run_ablate

    return run_ablate(settings)


def _evaluate(settings: EvaluateSettings) -> int:
    from trainer.evaluate_command import run_evaluate

    return run_evaluate(settings)


def _export(settings: ExportSettings) -> int:
    from trainer.export_command import run_export

    return run_export(settings)


def _quantize(settings: QuantizeSettings) -> int:
    from trainer.quantize.command import quantize
    from trainer.quantize.table import print_written

    print_written(quantize(settings))
    return 0
