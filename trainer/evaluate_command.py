"""`emotion-trainer evaluate` in a terminal."""

from __future__ import annotations

from rich.console import Console

from contract.artifact import find_artifact
from contract.errors import UsageError
from trainer.counting import counting
from trainer.evaluation_files import record, write_all
from trainer.int8_network import Int8Network
from trainer.measure import Measurement, Runs, measure
from trainer.network import Network
from trainer.pack import Pack
from trainer.report import as_json, print_int8, print_measurement
from trainer.settings import EvaluateSettings
from trainer.shipped import model_path


def run_evaluate(settings: EvaluateSettings) -> int:
    """Do it; returns the exit code."""
    path, manifest = find_artifact(model_path(settings.model))
    packs = [Pack.open(path) for path in settings.packs]
    if settings.out is not None and settings.out.exists() and not settings.out.is_dir():
        raise UsageError(f"--out {settings.out}: expected a folder, got a file")
    if settings.into_manifest and settings.limit is not None:
        raise UsageError(
            "--into-manifest and --limit: expected one of the two: a part is no measurement"
        )
    terminal = Console(stderr=True)

    def measured(network: Runs, pack: Pack, what: str = "measuring") -> Measurement:
        with counting(f"{what} on {pack.header.name}", terminal) as on_progress:
            return measure(
                network, manifest, pack, settings.split,
                limit=settings.limit, on_progress=on_progress,
            )  # fmt: skip

    int8 = Int8Network(path.parent, manifest) if settings.int8 else None
    if terminal.is_terminal:
        terminal.print("loading the model ...")
    network = Network(path)
    network.require(manifest)
    found = [measured(network, pack) for pack in packs]
    quantised = None if int8 is None else measured(int8, packs[0], "measuring int8")
    if settings.out is not None:
        card = write_all(settings.out, manifest, found, packs[0].header.side_px, quantised)
        terminal.print(f"{card} and what it shows", highlight=False)
    if settings.into_manifest:
        record(path.with_suffix(".json"), found, quantised)
    if settings.format == "json":
        print(as_json(manifest, found, quantised))
        return 0
    for one in found:
        print_measurement(manifest, one, Console())
    if quantised is not None:
        print_int8(quantised, Console())
    return 0
