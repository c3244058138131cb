"""`emotion-trainer`: settings in, the command's work, exit code out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from contract.artifact import ModelManifest, find_artifact
from contract.errors import ArtifactError, EmotionStreamError, UsageError
from contract.process.command import run_command
from contract.process.settings import read_settings
from trainer.settings import (
    EvaluateSettings,
    ExportSettings,
    QuantizeSettings,
    TrainerSettings,
    quoted,
)

PROGRAM = "emotion-trainer"
# The trainer imports nothing of the worker that runs, but both come in one distribution.
SHIPPED_MODEL = Path(__file__).parents[1] / "worker" / "models" / "ferplus_resnet50.keras"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command, rest = arguments[:1], quoted(arguments[1:])
    # Each command reads its own settings, so that a fault names --limit and not --evaluate.limit.
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
        raise UsageError(f"expected a command: evaluate, export or quantize (see {PROGRAM} --help)")
    except EmotionStreamError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return error.exit_code


def _evaluate(settings: EvaluateSettings) -> int:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    model_path, manifest = find_artifact(settings.model or SHIPPED_MODEL)

    import numpy as np

    from trainer.data import ferplus
    from trainer.evaluate import as_logits, evaluate
    from trainer.report import Report, as_json, print_report

    columns = _columns(model_path, manifest, ferplus.CLASSES)
    split = ferplus.read_split(settings.ferplus, settings.split, settings.votes)
    truth = ferplus.majority(split.votes)
    agreed = np.flatnonzero(truth >= 0)
    used = agreed[: settings.limit]
    if len(used) == 0:
        raise UsageError(f"{settings.ferplus}: no image of {settings.split} has a majority")

    from trainer.network import Network

    terminal = Console(stderr=True)
    if terminal.is_terminal:
        terminal.print("loading the model ...")
    network = Network(model_path)
    network.require(manifest)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=terminal,
        transient=True,
    ) as progress:
        task = progress.add_task("classifying", total=len(used))
        outputs = network(split.images[used], lambda done: progress.update(task, completed=done))
    if not np.isfinite(outputs).all():
        raise ArtifactError(f"{model_path}: expected finite outputs, got NaN or infinity")

    report = Report(
        model=manifest.id,
        data=f"FER+ {settings.split}, {settings.votes} votes, majority rule"
        + (f", first {len(used):,}" if len(used) < len(agreed) else ""),
        counts={
            "used": len(used),
            "without majority": len(truth) - len(agreed),
            "not a face": split.unnamed,
            "without image": split.without_image,
            "unreadable": split.unreadable,
        },
        labels=ferplus.CLASSES,
        evaluation=evaluate(
            as_logits(outputs, manifest.output)[:, columns], truth[used], manifest.temperature
        ),
    )
    if settings.format == "json":
        print(as_json(report))
    else:
        print_report(report, Console())
    return 0


def _columns(path: Path, manifest: ModelManifest, classes: Sequence[str]) -> list[int]:
    """Where each of `classes` is among the model's outputs."""
    missing = [label for label in classes if label not in manifest.labels]
    unknown = [label for label in manifest.labels if label not in classes]
    if missing or unknown:
        faults = [
            f"{what} {', '.join(labels)}"
            for what, labels in (("missing", missing), ("not in FER+:", unknown))
            if labels
        ]
        raise UsageError(
            f"{path}: expected the labels {', '.join(classes)} in any order; {'; '.join(faults)}"
        )
    return [manifest.labels.index(label) for label in classes]


def _export(settings: ExportSettings) -> int:
    from trainer.export import Export, export

    made = dict(item.split("=", 1) for item in settings.made)
    about = Export(
        name=settings.model.stem if settings.name is None else settings.name,
        labels=tuple(settings.labels),
        output=settings.output,
        temperature=settings.temperature,
        made={key.strip(): value.strip() for key, value in made.items()},
    )
    artifact = export(settings.model, about, settings.out, force=settings.force)
    _, manifest = find_artifact(artifact)
    print(f"{artifact} and {artifact.with_suffix('.json').name}: {manifest.id}")
    print(f"try it: emotion-worker --model {artifact}")
    return 0


def _quantize(settings: QuantizeSettings) -> int:
    from trainer.quantize.command import quantize
    from trainer.quantize.table import print_written

    print_written(quantize(settings))
    return 0
