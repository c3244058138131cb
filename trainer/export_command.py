"""`emotion-trainer export` in a terminal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from contract.artifact import ModelManifest, find_artifact
from contract.errors import UsageError
from trainer.calibrate import LEAST, MOST, fit_temperature
from trainer.counting import counting
from trainer.evaluate import evaluate
from trainer.export import Export, export
from trainer.export_settings import ExportSettings
from trainer.measure import outputs_of
from trainer.network import Network
from trainer.pack import Pack
from trainer.report import figures
from trainer.shipped import model_path
from trainer.trained import trained


def run_export(settings: ExportSettings) -> int:
    """Do it; returns the exit code."""
    if settings.temperature is not None and settings.calibrate is not None:
        raise UsageError("--temperature and --calibrate: expected one of the two")
    model = model_path(settings.model)
    about = _about(settings, model)
    if settings.calibrate is not None:
        about = _calibrated(model, about, settings.calibrate)
    if settings.format == "keras":
        artifact = export(model, about, settings.out, force=settings.force)
        _, manifest = find_artifact(artifact)
        print(f"{artifact} and {artifact.with_suffix('.json').name}: {manifest.id}")
        print(f"try it: emotion-worker --model {artifact}")
        return 0
    from trainer.foreign.export import MANIFEST, export_foreign

    made = export_foreign(model, about, settings.format, settings.out, force=settings.force)
    print(f"{made.folder}, {MANIFEST} in it: crops in, calibrated probabilities out")
    print(f"scores differ from Keras' by at most {made.difference:.1e}, on {made.crops} crops")
    return 0


def _about(settings: ExportSettings, model: Path) -> Export:
    """What the flags say; what they leave out, an artifact's manifest or the run says."""
    given = dict(item.split("=", 1) for item in settings.made)
    made = {key.strip(): value.strip() for key, value in given.items()}
    about = Export(name=model.stem, labels=(), output=settings.output)
    if not settings.labels and model.with_suffix(".json").is_file():
        about = _of_artifact(find_artifact(model)[1])
    elif (run := trained(model)) is not None:
        about = replace(run, output=settings.output)
    temperature = about.temperature if settings.temperature is None else settings.temperature
    return replace(
        about,
        name=about.name if settings.name is None else settings.name,
        labels=tuple(settings.labels) or about.labels,
        temperature=temperature,
        # What was measured was measured with the scores of that temperature.
        measured=about.measured if temperature == about.temperature else {},
        made={**about.made, **made},
    )


def _of_artifact(manifest: ModelManifest) -> Export:
    return Export(
        name=manifest.name,
        labels=manifest.labels,
        output=manifest.output,
        temperature=manifest.temperature,
        crop=manifest.crop,
        recipe=manifest.recipe,
        data=manifest.data,
        versions=manifest.versions,
        made=manifest.made,
        measured=manifest.measured,
    )


def _calibrated(model: Path, about: Export, pack_path: Path) -> Export:
    """`about` with the temperature that fits the validation part of a pack, and what it scores
    there."""
    pack = Pack.open(pack_path)
    network = Network(model)
    if len(about.labels) != network.classes:
        return about  # `export` says what is wrong
    terminal = Console(stderr=True)
    with counting("fitting the temperature", terminal) as on_progress:
        logits, crops = outputs_of(
            network, about.labels, about.output, pack, "valid", on_progress=on_progress
        )
    # Enough digits: the same pack gives the same manifest on any machine.
    temperature = float(f"{fit_temperature(logits, crops.targets):.4g}")
    terminal.print(f"temperature {temperature:.3g}, fitted on {len(crops):,} validation faces",
                   highlight=False)  # fmt: skip
    if temperature in (LEAST, MOST):
        terminal.print("that is as far as it goes: the model knows nothing of these faces, or all")
    header = pack.header
    fitted = {"name": header.name, "split": "valid", "fingerprint": header.fingerprint}
    found = figures(evaluate(logits, crops.truth, temperature))
    return replace(
        about,
        temperature=temperature,
        data={**about.data, "calibrated_on": {**fitted, "n": len(crops)}},
        measured={f"{header.name}, valid": {"fingerprint": header.fingerprint, **found}},
    )
