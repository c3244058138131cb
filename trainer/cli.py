"""`emotion-trainer`: settings in, the command's work, exit code out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from contract.artifact import find_artifact
from contract.errors import EmotionStreamError, UsageError
from contract.process.command import run_command
from contract.process.settings import read_settings
from trainer.settings import (
    EvaluateSettings,
    ExportSettings,
    PrepareSettings,
    QuantizeSettings,
    TrainerSettings,
    quoted,
)
from trainer.train_settings import AblateSettings, TrainCommandSettings

if TYPE_CHECKING:
    from trainer.export import Export

PROGRAM = "emotion-trainer"
SHIPPED = "shipped"
COMMANDS = "prepare, train, ablate, evaluate, export or quantize"
# The trainer imports nothing of the worker that runs, but both come in one distribution.
SHIPPED_MODEL = Path(__file__).parents[1] / "worker" / "models" / "ferplus_resnet50.keras"


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

    is_shipped = str(settings.model) == SHIPPED
    model_path, manifest = find_artifact(SHIPPED_MODEL if is_shipped else settings.model)
    packs = [Pack.open(path) for path in settings.packs]
    if settings.out is not None and settings.out.exists() and not settings.out.is_dir():
        raise UsageError(f"--out {settings.out}: expected a folder, got a file")

    terminal = Console(stderr=True)
    if terminal.is_terminal:
        terminal.print("loading the model ...")
    network = Network(model_path)
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
    from trainer.export import Export, export

    if settings.temperature is not None and settings.calibrate is not None:
        raise UsageError("--temperature and --calibrate: expected one of the two")
    made = dict(item.split("=", 1) for item in settings.made)
    about = Export(
        name=settings.model.stem if settings.name is None else settings.name,
        labels=tuple(settings.labels),
        output=settings.output,
        temperature=1.0 if settings.temperature is None else settings.temperature,
        made={key.strip(): value.strip() for key, value in made.items()},
    )
    if settings.calibrate is not None:
        about = _calibrated(settings.model, about, settings.calibrate)
    artifact = export(settings.model, about, settings.out, force=settings.force)
    _, manifest = find_artifact(artifact)
    print(f"{artifact} and {artifact.with_suffix('.json').name}: {manifest.id}")
    print(f"try it: emotion-worker --model {artifact}")
    return 0


def _calibrated(model: Path, about: Export, pack_path: Path) -> Export:
    """`about` with the temperature that fits the validation part of a pack."""
    from dataclasses import replace

    from rich.console import Console

    from trainer.calibrate import fit_temperature
    from trainer.counting import counting
    from trainer.measure import outputs_of
    from trainer.network import Network
    from trainer.pack import Pack

    pack = Pack.open(pack_path)
    network = Network(model)
    if len(about.labels) != network.classes:
        return about  # `export` says what is wrong
    terminal = Console(stderr=True)
    with counting("fitting the temperature", terminal) as on_progress:
        logits, crops = outputs_of(
            network, about.labels, about.output, pack, "valid", on_progress=on_progress
        )
    temperature = fit_temperature(logits, crops.targets)
    terminal.print(f"temperature {temperature:.3g}, fitted on {len(crops):,} validation faces",
                   highlight=False)  # fmt: skip
    data = f"{pack.header.name}, valid, pack {pack.header.fingerprint[:12]}, n={len(crops)}"
    return replace(
        about,
        # Enough digits: the same pack gives the same manifest on any machine.
        temperature=float(f"{temperature:.4g}"),
        made={**about.made, "temperature_fitted_on": data},
    )


def _quantize(settings: QuantizeSettings) -> int:
    from trainer.quantize.command import quantize
    from trainer.quantize.table import print_written

    print_written(quantize(settings))
    return 0
