"""`emotion-trainer quantize`: calibrate, quantise, measure; write what is inside the limits."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from contract.artifact import Int8, ModelManifest, file_sha256, find_int8
from contract.errors import EmotionStreamError, UsageError
from trainer.quantize import classifier, detector, ir, recipe
from trainer.quantize.classifier import ClassifierCost
from trainer.quantize.detector import DetectorCost
from trainer.quantize.faces import calibration_faces, unseen_faces
from trainer.settings import QuantizeSettings
from worker.classifier import DEFAULT_ARTIFACT, classifier_source
from worker.faces.detector import detector_source
from worker.faces.int8 import ENTRY, write_entry
from worker.faces.weights import weights_sha256

Start = Callable[[str, int], Callable[[int], object]]


@dataclass(frozen=True, slots=True)
class Written:
    """An int8 form that was written, and what it costs."""

    xml: Path
    cost: ClassifierCost | DetectorCost

    @property
    def size_bytes(self) -> int:
        return sum(path.stat().st_size for path in (self.xml, self.xml.with_suffix(".bin")))


def quantize(settings: QuantizeSettings) -> list[Written]:
    """Do what the settings say.

    Raises `UsageError` when nothing is asked for or something given cannot be used, and
    `EmotionStreamError` when an int8 form costs too much: then nothing of it is written.
    """
    if settings.faces is None and not settings.videos:
        raise UsageError(
            "expected --faces PACK for the classifier, --videos FOLDER for the detector, or both"
        )
    import nncf  # noqa: F401 (before minutes of work: it comes with the extra `train`)

    console = Console(stderr=True)
    written = []
    if settings.faces is not None:
        written.append(_classifier(settings, settings.faces, console))
    if settings.videos:
        written.append(_detector(settings, console))
    return written


def _classifier(settings: QuantizeSettings, faces: Path, console: Console) -> Written:
    model = settings.model or DEFAULT_ARTIFACT
    manifest, source = classifier_source(model)
    calibrating = calibration_faces(faces, manifest, settings.calibrate)
    tested = unseen_faces(faces, manifest, settings.limit)
    with console.status("classifier: loading"):
        before = ir.float_form(source)
    after = recipe.quantised(before, calibrating.crops, classifier.is_float(before), console)
    with _bars(console) as start:
        cost = classifier.measure(before, after, tested, start)
    _require(cost, "the classifier", classifier.describe(cost))
    json = model.with_suffix(".json")
    xml = json.parent / f"{Path(manifest.file).stem}.int8.xml"
    measured = {
        "data": tested.data,
        "float32_accuracy": round(cost.float_accuracy, 4),
        "accuracy": round(cost.accuracy, 4),
        "same_label": round(cost.agreement, 4),
    }

    def bind(int8: Int8, path: Path) -> None:
        replace(manifest, int8=int8).write(path)

    made = recipe.made(calibrating.crops, calibrating.data)
    _write(after, xml, json, manifest.sha256, made, measured, bind)
    assert ModelManifest.read(json).int8
    return Written(xml, cost)


def _detector(settings: QuantizeSettings, console: Console) -> Written:
    with console.status("detector: reading videos"):
        first, second = detector.looks(settings.videos)
    pictures = detector.calibration_pictures(first, second, settings.calibrate)
    data = f"{len(pictures):,} of {len(first):,} video frames, a quarter as second looks"
    with console.status("detector: loading"):
        before = ir.float_form(detector_source())
    after = recipe.quantised(before, pictures, detector.is_float, console)
    with _bars(console) as start:
        cost = detector.measure(before, after, first, second, start)
    _require(cost, "the detector", detector.describe(cost))
    folder = settings.detector_out or ENTRY.parent
    measured = {
        "data": f"{cost.frames:,} video frames, each also as a second look",
        **{key: value for key, value in asdict(cost).items() if key != "frames"},
        "worst": round(cost.worst, 4),
        "overlap": round(cost.overlap, 3),
    }

    def bind(int8: Int8, path: Path) -> None:
        write_entry(path, int8)

    json = folder / ENTRY.name
    xml = json.with_suffix(".xml")
    _write(after, xml, json, weights_sha256(), recipe.made(pictures, data), measured, bind)
    return Written(xml, cost)


def _require(cost: ClassifierCost | DetectorCost, what: str, figures: str) -> None:
    if cost.fault is not None:
        raise EmotionStreamError(
            f"nothing written: int8 of {what} {cost.fault} ({figures}); more or other calibration "
            "data (--calibrate) may help"
        )


def _write(
    model: Any,
    xml: Path,
    json: Path,
    source_sha256: str,
    made: dict[str, Any],
    measured: dict[str, Any],
    bind: Callable[[Int8, Path], None],
) -> None:
    """Write the .bin, the .xml and last, with `bind`, the JSON file that holds their entry.

    Made in a temporary folder, read back and moved into place only then. Whoever reads in between
    finds sums that do not match, and does without int8.
    """
    try:
        json.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=json.parent, prefix=f".{xml.stem}.") as temporary:
            made_xml = Path(temporary) / xml.name
            ir.save(model, made_xml)
            int8 = Int8(
                file=xml.name,
                source_sha256=source_sha256,
                xml_sha256=file_sha256(made_xml),
                bin_sha256=file_sha256(made_xml.with_suffix(".bin")),
                made=made,
                measured=measured,
            )
            bind(int8, Path(temporary) / json.name)
            find_int8(made_xml.parent, int8, source_sha256)
            made_xml.with_suffix(".bin").replace(xml.with_suffix(".bin"))
            made_xml.replace(xml)
            (Path(temporary) / json.name).replace(json)
    except OSError as error:
        raise EmotionStreamError(f"{json.parent}: cannot write the int8 form: {error}") from error
    find_int8(json.parent, int8, source_sha256)


@contextmanager
def _bars(console: Console) -> Iterator[Start]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:

        def start(name: str, total: int) -> Callable[[int], object]:
            task = progress.add_task(name, total=total)
            return lambda done: progress.advance(task, done)

        yield start
