"""`emotion-trainer` as a user types it: export, its refusals, and evaluate on real photos."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from contract.artifact import find_artifact
from tests.eagerly import eagerly
from trainer.cli import main
from trainer.data.ferplus import CLASSES, read_split
from trainer.fit import train
from trainer.pack import SPLITS, Pack
from trainer.pack_writer import PackWriter
from trainer.recipe import read_recipe
from worker.faces.crop import CROP_RULE

# Saving a model: Keras 3 on TensorFlow does not follow NumPy 2's copy keyword yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

LABELS = "glad,sad,중립"
SHARED_FERPLUS = Path(__file__).parents[3] / "shared" / "data" / "ferplus.zip"


def tiny(path: Path, *, shape: tuple[int | None, ...] = (32, 32, 1), end: str = "linear") -> Path:
    """A model of three classes; small, but built and saved as real ones are."""
    image = keras.Input(shape)
    hidden = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(image))
    keras.Model(image, keras.layers.Dense(3, activation=end)(hidden)).save(path)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("models") / "mine.keras")


@pytest.fixture(scope="module")
def ferplus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of 300 test and 300 validation photos of FER+."""
    if not SHARED_FERPLUS.is_file():
        pytest.skip(f"needs FER+ in {SHARED_FERPLUS}")
    path = tmp_path_factory.mktemp("packs") / "ferplus.pack"
    with PackWriter(path, CLASSES, 48) as writer:
        for name in SPLITS[1:]:
            split = read_split(SHARED_FERPLUS, name)
            for row in range(300):
                votes = split.votes[row]
                writer.add(
                    split.images[row], votes[:8], name, None, split.ids[row],
                    unsure=float(votes[8:].sum()),
                )  # fmt: skip
        writer.finish()
    return path


def learnable(path: Path) -> Pack:
    """Eight noisy crops of each class to train on and as many to choose by."""
    random = np.random.default_rng(0)
    with PackWriter(path, CLASSES, 48) as writer:
        for number in range(128):
            votes = 5.0 * np.eye(8)[number % 8]
            crop = random.integers(0, 256, (48, 48)).astype(np.uint8)
            writer.add(crop, votes, ("train", "valid")[number // 8 % 2], None, str(number))
        return writer.finish()


def fault(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """What the command says when it refuses."""
    assert main([str(argument) for argument in arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


def test_export_makes_an_artifact(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", str(model), "--labels", LABELS, "--name", "korean"]
    arguments += ["--temperature", "1.4", "--out", str(tmp_path / "new" / "folder")]
    arguments += ["--made", "data=my photos, 3 classes = few", "--made=licence=no, none"]
    assert main(arguments) == 0
    found, manifest = find_artifact(tmp_path / "new" / "folder" / "korean.keras")
    assert manifest.name == "korean"
    assert manifest.labels == ("glad", "sad", "중립")
    assert manifest.input_shape == (32, 32, 1)
    assert (manifest.output, manifest.temperature) == ("logits", 1.4)
    assert manifest.made == {"data": "my photos, 3 classes = few", "licence": "no, none"}
    assert sorted(file.name for file in found.parent.iterdir()) == ["korean.json", "korean.keras"]
    assert manifest.id in capsys.readouterr().out


def test_export_beside_the_model_writes_the_manifest_only(tmp_path: Path) -> None:
    path = tiny(tmp_path / "mine.keras", end="softmax")
    before = path.stat().st_mtime_ns
    arguments = ["export", str(path), "--labels", LABELS, "--out", str(tmp_path)]
    assert main([*arguments, "--output", "probabilities"]) == 0
    assert path.stat().st_mtime_ns == before
    assert find_artifact(path)[1].output == "probabilities"


def test_export_overwrites_only_when_told(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", str(model), "--out", str(tmp_path), "--labels"]
    assert main([*arguments, LABELS]) == 0
    capsys.readouterr()
    assert "mine.json: exists; --force" in fault(capsys, *arguments, "a,b,c")
    assert find_artifact(tmp_path / "mine.keras")[1].labels == ("glad", "sad", "중립")
    assert main([*arguments, "a,b,c", "--force"]) == 0
    assert find_artifact(tmp_path / "mine.keras")[1].labels == ("a", "b", "c")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "--labels: expected 3, one for each output of mine.keras, got none"),
        (["--labels", "a,b"], "--labels: expected 3, one for each output of mine.keras, got 2: a"),
        (["--labels", "a,b,a"], "--labels: expected different labels, a repeats"),
        (["--labels", "a,b,"], "--labels: "),
        (["--labels", LABELS, "--name", "a/b"], "--name: "),
        (["--labels", LABELS, "--made", "data"], "--made: expected KEY=VALUE"),
        (["--labels", LABELS, "--temperature", "0"], "--temperature: "),
        (["--labels", LABELS, "--output", "probabilities"], "mine.keras gives logits"),
    ],
)
def test_export_refuses(
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    text: str,
) -> None:
    said = fault(capsys, "export", model, *arguments, "--out", tmp_path)
    assert "emotion-trainer export: " in said
    assert text in said
    assert list(tmp_path.iterdir()) == []


def test_export_refuses_other_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(path: Path) -> str:
        return fault(capsys, "export", path, "--labels", LABELS, "--out", tmp_path / "out")

    assert "gone.keras: no such model file" in said(tmp_path / "gone.keras")
    (tmp_path / "text.keras").write_text("no model")
    assert "text.keras: Keras cannot load it" in said(tmp_path / "text.keras")
    colour = tiny(tmp_path / "colour.keras", shape=(32, 32, 3))
    assert "expected input (None, side, side, 1), got (None, 32, 32, 3)" in said(colour)
    oblong = tiny(tmp_path / "oblong.keras", shape=(32, 48, 1))
    assert "got (None, 32, 48, 1)" in said(oblong)
    elastic = tiny(tmp_path / "elastic.keras", shape=(None, None, 1))
    assert "expected an input of fixed size" in said(elastic)
    spaced = tiny(tmp_path / "my model.keras")
    assert "--name my model: expected a short name" in said(spaced)
    (tmp_path / "file").touch()
    arguments = (spaced, "--name", "x", "--labels", LABELS, "--out", tmp_path / "file")
    assert "expected a folder, got a file" in fault(capsys, "export", *arguments)
    softmax = tiny(tmp_path / "softmax.keras", end="softmax")
    assert "softmax.keras gives probabilities" in said(softmax)
    assert not (tmp_path / "out").exists()


def test_export_refuses_a_model_that_float16_would_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = keras.Input((32, 32, 1))
    mean = keras.layers.GlobalAveragePooling2D()(image)
    # float16 has no number as small as these weights.
    tiny_weights = keras.layers.Dense(3, kernel_initializer=keras.initializers.Constant(1e-9))
    path = tmp_path / "small.keras"
    keras.Model(image, keras.layers.Rescaling(1e9)(tiny_weights(mean))).save(path)
    said = fault(capsys, "export", path, "--labels", LABELS, "--out", tmp_path / "out")
    assert "float16 weights change its outputs by up to" in said
    assert list((tmp_path / "out").iterdir()) == []


def test_no_command_says_which_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert "evaluate, export or quantize" in fault(capsys)
    assert "invalid choice: 'sing' (choose from 'prepare', 'train'" in fault(capsys, "sing")


def test_evaluate_refuses_by_name(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(model), "--labels", LABELS, "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    mine = tmp_path / "mine.keras"
    pack = tmp_path / "other.pack"
    with PackWriter(pack, ("joy", "rage"), 16) as writer:
        writer.add(np.zeros((16, 16), np.uint8), [3, 0], "test", None, "one")
        writer.finish()
    assert "gone.pack: no such pack" in fault(capsys, "evaluate", mine, tmp_path / "gone.pack")
    assert "gone.keras" in fault(capsys, "evaluate", tmp_path / "gone.keras", pack)
    assert "--limit: " in fault(capsys, "evaluate", mine, pack, "--limit", "0")
    assert "has the classes joy, rage, none of the model's glad, sad, 중립" in fault(
        capsys, "evaluate", mine, pack
    )


def test_nothing_heavy_is_imported_for_help() -> None:
    code = (
        "import sys, trainer.cli\n"
        "heavy = {'keras', 'tensorflow', 'cv2', 'numpy'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_evaluate_of_the_shipped_model(ferplus: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    command = [sys.executable, "-m", "trainer", "evaluate", "shipped", str(ferplus)]
    done = subprocess.run(
        [*command, "--limit", "128", "--format", "json", "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    (report,) = json.loads(done.stdout)["measured"]
    assert report["n"] == report["counts"]["used"] == 128
    low, high = report["accuracy_interval_95"]
    assert 0.75 < report["accuracy"] < 0.99
    assert low < report["accuracy"] < high
    assert report["ece"]["after"] < report["ece"]["before"]
    assert sum(entry["n"] for entry in report["classes"].values()) == 128
    # Half the pixels cost little, a quarter much: the reduced crops really went in.
    sizes = report["by_face_side_px"]
    assert sizes["24"]["accuracy"] < sizes["48"]["accuracy"] == report["accuracy"]
    assert 0.2 < report["votes_nll_nats"] < 1.5
    assert json.loads((out / "report.json").read_text("utf-8")) == json.loads(done.stdout)
    card = (out / "card.md").read_text("utf-8")
    assert f"{report['accuracy']:.1%}" in card
    assert "apparent expression" in card
    for picture in ("confusion.png", "reliability.png", "sizes.png"):
        assert picture in card
        assert cv2.imread(str(out / picture)) is not None
    assert sorted(file.name for file in out.iterdir()) == [
        "card.md", "confusion.png", "reliability.png", "report.json", "sizes.png"
    ]  # fmt: skip


def test_a_fitted_temperature_is_in_the_manifest(
    ferplus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = keras.Input((24, 24, 1))
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    weights = keras.initializers.RandomNormal(stddev=0.2, seed=1)
    network = keras.Model(image, keras.layers.Dense(8, kernel_initializer=weights)(flat))
    network.save(tmp_path / "sure.keras")
    arguments = ["export", str(tmp_path / "sure.keras"), "--labels", ",".join(CLASSES)]
    manifests = []
    for name in ("once", "again"):
        made = [*arguments, "--name", name, "--out", str(tmp_path), "--calibrate", str(ferplus)]
        assert main(made) == 0
        manifests.append(find_artifact(tmp_path / f"{name}.keras")[1])
    # An untrained network is wrong more often than it thinks.
    assert manifests[0].temperature > 1.2
    fitted = manifests[0].data["calibrated_on"]
    assert (fitted["name"], fitted["split"]) == ("ferplus", "valid")
    assert fitted["fingerprint"] == Pack.open(ferplus).header.fingerprint
    assert manifests[0].measured["ferplus, valid"]["n"] == fitted["n"] > 200
    assert manifests[0].sha256 == manifests[1].sha256
    assert manifests[0].temperature == manifests[1].temperature
    capsys.readouterr()
    said = fault(capsys, *arguments, "--calibrate", ferplus, "--temperature", "2")
    assert "--temperature and --calibrate" in said


def test_a_runs_artifact_says_how_it_was_made_and_is_the_same_again(
    ferplus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"model.width": "0.125", "model.blocks": "[1, 1, 1, 1]", "model.side_px": "32"}
    small |= {"train.epochs": "1", "train.batch": "32", "train.ema": "0"}
    run = tmp_path / "my-run"
    with eagerly():
        train(learnable(tmp_path / "learn.pack"), read_recipe("best", small), run)
    model = run / "model.keras"
    arguments = ["export", str(model), "--calibrate", str(ferplus), "--made", "licence=mine"]
    texts = []
    for name in ("once", "again"):
        assert main([*arguments, "--out", str(tmp_path / name)]) == 0
        texts.append((tmp_path / name / "my-run.json").read_text("utf-8"))
    assert texts[0] == texts[1]

    _, manifest = find_artifact(tmp_path / "once" / "my-run.keras")
    assert (manifest.name, manifest.labels) == ("my-run", CLASSES)
    assert manifest.crop == CROP_RULE
    assert manifest.recipe["name"] == "best"
    assert manifest.recipe["values"]["model"]["width"] == 0.125
    assert (manifest.recipe["epochs"], manifest.recipe["best_epoch"]) == (1, 1)
    learned = Pack.open(tmp_path / "learn.pack").header
    assert manifest.data["trained_on"]["fingerprint"] == learned.fingerprint
    assert manifest.data["calibrated_on"]["fingerprint"] == Pack.open(ferplus).header.fingerprint
    assert manifest.made == {"licence": "mine"}
    for when in ("trained", "exported"):
        assert {"keras", "backend", "tensorflow", "numpy", "python"} <= set(manifest.versions[when])

    # An artifact made of an artifact keeps all of it.
    made = ["export", str(tmp_path / "once" / "my-run.keras"), "--out", str(tmp_path / "third")]
    assert main(made) == 0
    assert (tmp_path / "third" / "my-run.json").read_text("utf-8") == texts[0]
    # Another temperature makes other scores, of which nothing was measured.
    assert main([*made, "--temperature", "3", "--name", "fourth"]) == 0
    assert find_artifact(tmp_path / "third" / "fourth.keras")[1].measured == {}
    capsys.readouterr()
    (run / "run.json").write_text('{"inputs": {}, "outcome": null}')
    said = fault(capsys, "export", model, "--labels", "a,b", "--out", tmp_path / "fifth")
    assert "run.json: expected a run's" in said


def test_a_temperature_is_fitted_on_validation_and_not_on_test(tmp_path: Path) -> None:
    """The network is right about four of five validation crops and about half the test crops."""
    image = keras.Input((16, 16, 1))
    last = keras.layers.Dense(2)
    path = tmp_path / "mine.keras"
    network = keras.Model(image, last(keras.layers.GlobalAveragePooling2D()(image)))
    last.set_weights([np.array([[0.02, -0.02]]), np.array([-2.0, 2.0])])
    network.save(path)
    with PackWriter(tmp_path / "my.pack", ("dark", "bright"), 16) as writer:
        for number in range(40):
            bright = number // 2 % 2
            wrong = {"valid": number % 10 >= 8, "test": number % 4 < 2}
            for split in SPLITS[1:]:
                votes = [5.0 * (bright == wrong[split]), 5.0 * (bright != wrong[split])]
                crop = np.full((16, 16), 150 if bright else 50, np.uint8)
                writer.add(crop, votes, split, None, f"{split}{number}")
        writer.finish()
    arguments = ["export", str(path), "--labels", "bright,dark", "--out", str(tmp_path)]
    assert main([*arguments, "--calibrate", str(tmp_path / "my.pack")]) == 0
    # The logits are two apart: softmax((1, -1) / T) = 0.8.
    assert find_artifact(path)[1].temperature == pytest.approx(2 / np.log(4), rel=1e-3)


def test_labels_in_another_order_change_nothing(
    ferplus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Outputs are matched to classes by name: the same network with its last layer permuted."""
    classes = list(CLASSES)
    image = keras.Input((24, 24, 1))
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    last = keras.layers.Dense(8)
    network = keras.Model(image, last(flat))
    reports = []
    for name, step in (("plain", 1), ("reversed", -1)):
        network.save(tmp_path / f"{name}.keras")
        labels = ",".join(classes[::step])
        arguments = [str(tmp_path / f"{name}.keras"), "--labels", labels, "--out", str(tmp_path)]
        assert main(["export", *arguments]) == 0
        capsys.readouterr()
        assert main(["evaluate", arguments[0], str(ferplus), "--format", "json"]) == 0
        (report,) = json.loads(capsys.readouterr().out)["measured"]
        found = {key: report[key] for key in ("accuracy", "classes", "ece")}
        # Rows and columns come in the order of the model's outputs.
        reports.append((found, np.array(report["confusion"]["rows_are_truth"])[::step, ::step]))
        last.set_weights([weights[..., ::-1] for weights in last.get_weights()])
    assert reports[0][0] == reports[1][0]
    np.testing.assert_array_equal(reports[0][1], reports[1][1])
