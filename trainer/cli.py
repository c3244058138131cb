"""`emotion-trainer`: settings in, the command's work, exit code out."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from contract.artifact import find_artifact
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
from trainer.shipped import model_path
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
    from rich.console import Console

    from trainer.counting import counting
    from trainer.evaluation_files import write_all
    from trainer.measure import measure
    from trainer.network import Network
    from trainer.pack import Pack
    from trainer.report import as_json, print_measurement

    path, manifest = find_artifact(model_path(settings.model))
    packs = [Pack.open(path) for path in settings.packs]
    if settings.out is not None and settings.out.exists() and not settings.out.is_dir():
        raise UsageError(f"--out {settings.out}: expected a folder, got a file")

    terminal = Console(stderr=True)
    if terminal.is_terminal:
        terminal.print("loading the model ...")
    network = Network(path)
    network.require(manifest)
    measured = []
    for pack in packs:
        with counting(f"measuring on {pack.header.name}", terminal) as on_progress:
            measured.append(
                measure(
                    network, manifest, pack, settings.split,
                    limit=settings.limit, on_progress=on_progress,
                )
            )  # fmt: skip
    if settings.out is not None:
        card = write_all(settings.out, manifest, measured, packs[0].header.side_px)
        terminal.print(f"{card} and what it shows", highlight=False)
    if settings.format == "json":
        print(as_json(manifest, measured))
    else:
        for found in measured:
            print_measurement(manifest, found, Console())
    return 0


def _export(settings: ExportSettings) -> int:
    from trainer.export_command import run_export

    return run_export(settings)


def _quantize(settings: QuantizeSettings) -> int:
    from trainer.quantize.command import quantize
    from trainer.quantize.table import print_written

    print_written(quantize(settings))
    return 0
