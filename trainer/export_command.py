"""`emotion-trainer export` in a terminal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from contract.artifact import find_artifact
from contract.errors import UsageError
from trainer.calibrate import fit_temperature
from trainer.counting import counting
from trainer.export import Export, export
from trainer.export_settings import ExportSettings
from trainer.measure import outputs_of
from trainer.network import Network
from trainer.pack import Pack
from trainer.shipped import model_path


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
    """What the flags say; what they leave out, an artifact's manifest says."""
    given = dict(item.split("=", 1) for item in settings.made)
    made = {key.strip(): value.strip() for key, value in given.items()}
    about = Export(name=model.stem, labels=tuple(settings.labels), output=settings.output)
    if not settings.labels and model.with_suffix(".json").is_file():
        _, known = find_artifact(model)
        about = Export(known.name, known.labels, known.output, known.temperature, known.made)
    return replace(
        about,
        name=about.name if settings.name is None else settings.name,
        temperature=about.temperature if settings.temperature is None else settings.temperature,
        made={**about.made, **made},
    )


def _calibrated(model: Path, about: Export, pack_path: Path) -> Export:
    """`about` with the temperature that fits the validation part of a pack."""
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
