"""A training run: what it learns from, that a kill changes nothing, what it refuses."""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from contract.errors import UsageError
from tests.conftest import REPOSITORY
from tests.eagerly import eagerly
from tests.optional import needs
from trainer import slim
from trainer.fit import save_model, train
from trainer.gpu import PART_BYTES, bring_back
from trainer.half import write_half
from trainer.judge import Judge, score
from trainer.keeper import Diverged
from trainer.options import Options
from trainer.pack import Pack
from trainer.pack_writer import PackWriter
from trainer.progress import Lines, duration
from trainer.recipe import Recipe, read_recipe
from trainer.run_folder import RunFolder
from trainer.targets import log_shares, targets, training_rows, with_teachers
from trainer.teachers import answers_of, write_answers
from trainer.training import DecayingSGD, Training, decays, optimizer
from trainer.whole import write_text

LABELS = ("left", "middle", "right")
SIDE = 16
# Small enough to trace in seconds, and yet with drop-out, mixture, erasing and a mean of weights.
CHANGES = {
    "model.width": "0.125",
    "model.blocks": "[1, 1, 1, 1]",
    "model.side_px": "32",
    "model.se": "0",
    "train.batch": "16",
    "train.epochs": "3",
    "train.warm_up_epochs": "1",
    "train.rate": "0.02",
    "train.ema": "0.9",
}


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """96 noisy crops with a bright third, which names the label."""
    return write(tmp_path_factory.mktemp("packs") / "tiny.pack")


@pytest.fixture
def untraced() -> Iterator[None]:
    with eagerly():
        yield


@pytest.fixture(scope="module")
def one_epoch(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """The history entry of a run of one."""
    folder = tmp_path_factory.mktemp("runs") / "plain"
    with eagerly():
        assert train(pack, recipe(train__epochs="1"), folder, Options(), quiet()).finished
    (entry,) = curve(folder)
    return entry


def write(path: Path, labels: tuple[str, ...] = LABELS, without: str | None = None) -> Pack:
    rng = np.random.default_rng(0)
    with PackWriter(path, labels, SIDE, made={}) as writer:
        for number in range(96):
            label = number % 3
            crop = rng.integers(0, 60, (SIDE, SIDE)).astype(np.uint8)
            crop[:, label * 5 : label * 5 + 5] += 150
            votes = [0.0] * 3
            votes[label], votes[(label + 1) % 3] = 5, 1
            split = ("train", "train", "valid", "test")[number // 3 % 4]
            if labels[label] != without:
                writer.add(crop, votes, split, None, str(number))  # type: ignore[arg-type]
        return writer.finish()


def recipe(**changes: str) -> Recipe:
    return read_recipe("best", CHANGES | {k.replace("__", "."): v for k, v in changes.items()})


def quiet() -> Lines:
    return Lines(io.StringIO())


def values(training: Training) -> list[np.ndarray]:
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in training.kept]


def curve(folder: Path) -> list[dict[str, float]]:
    """The history without what a clock says."""
    history = json.loads((folder / "history.json").read_text("utf-8"))
    return [
        {k: v for k, v in entry.items() if k not in ("images_per_s", "seconds")}
        for entry in history
    ]


def weights(file: Path) -> list[np.ndarray]:
    return list(keras.models.load_model(file, compile=False).get_weights())


def test_a_run_killed_and_resumed_has_the_same_curve_and_the_same_model(
    pack: Pack, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    outcome = train(pack, recipe(), whole, Options(seed=3), quiet())
    assert outcome.finished
    assert outcome.epochs == 3

    flags = [f"--set={key}={value}" for key, value in CHANGES.items()]
    command = [sys.executable, "-m", "trainer", "train", str(pack.path), "--out", str(killed)]
    child = subprocess.Popen(
        [*command, "--seed", "3", "--save-every", "0", *flags],
        cwd=REPOSITORY,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    for line in child.stderr:
        # Its state is saved after the line of its epoch: the second line means the first is.
        if line.startswith("epoch 2/3"):
            child.kill()
            break
    child.wait(30)
    child.stderr.close()
    state = RunFolder(killed).load()
    assert state is not None
    assert state.epoch in (1, 2)
    assert not (killed / "model.keras").exists()

    resumed = train(pack, recipe(), killed, Options(seed=3), quiet())
    assert resumed.finished
    for expected, found in zip(curve(whole), curve(killed), strict=True):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
    for one, other in zip(
        weights(whole / "model.keras"), weights(killed / "model.keras"), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    assert not (killed / "state.npz").exists()

    # What is in the folder: readable without this project, and the model is the best epoch's.
    assert (whole / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert read_recipe(str(whole / "recipe.toml")).train == recipe().train
    about = json.loads((whole / "run.json").read_text("utf-8"))
    assert about["inputs"]["pack"] == pack.header.fingerprint
    best = max(entry["valid_accuracy"] for entry in curve(whole))
    assert about["outcome"]["best"]["valid_accuracy"] == best
    rows = pack.split("valid")
    from trainer.crops import resized

    judge = Judge(keras.models.load_model(whole / "model.keras", compile=False))
    logits = judge.logits(resized(pack.images(rows), 32))
    found_accuracy, _ = score(logits, pack.truth[rows], targets(pack, rows, recipe().train))
    assert found_accuracy == pytest.approx(best)

    again = train(pack, recipe(), whole, Options(seed=3), quiet())
    assert again == outcome
    with pytest.raises(UsageError, match="holds a run with another seed"):
        train(pack, recipe(), whole, Options(seed=4), quiet())
    with pytest.raises(UsageError, match="holds a run with another recipe"):
        train(pack, recipe(train__rate="0.5"), whole, Options(seed=3), quiet())


def test_crops_sent_batch_by_batch_give_the_curve_of_crops_held_and_runs_stop_when_asked(
    pack: Pack, tmp_path: Path
) -> None:
    held, sent = tmp_path / "held", tmp_path / "sent"
    asked = threading.Event()
    asked.set()
    for folder, options, graph in (
        (held, Options(stop=asked), eagerly()),
        (sent, Options(held_mb=0.001, minutes=1e-6), nullcontext()),
    ):
        with graph:
            outcome = train(pack, recipe(), folder, options, quiet())
        assert not outcome.finished
        assert outcome.epochs == 1
        assert (folder / "model.keras").is_file()
    assert curve(sent) == [pytest.approx(entry, rel=1e-4, abs=1e-5) for entry in curve(held)]


def test_a_network_learns_what_the_labels_are(pack: Pack, tmp_path: Path) -> None:
    plain = read_recipe(
        "seed",
        CHANGES
        | {
            "train.epochs": "12",
            "train.warm_up_epochs": "0",
            "train.rate": "0.003",
            "augment.rotation_deg": "0",
            "augment.flip": "false",
            "model.norm_momentum": "0.7",
        },
    )
    outcome = train(pack, plain, tmp_path / "run", Options(answers=True), quiet())
    assert outcome.best["valid_accuracy"] >= 0.9
    rows = training_rows(pack, plain.train)
    taught = answers_of(tmp_path / "run" / "answers.npz", pack, rows)
    asked = answers_of(tmp_path / "run" / "model.keras", pack, rows)
    np.testing.assert_allclose(taught, asked, atol=2e-3)
    assert (taught.argmax(axis=1) == pack.truth[rows]).mean() > 0.8

    out = tmp_path / "out"
    bring_back(tmp_path / "run", out)
    parts = sorted(out.glob("model.keras.*"))
    assert all(part.stat().st_size <= PART_BYTES for part in parts)
    joined = tmp_path / "joined.keras"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    for half, full in zip(weights(joined), weights(tmp_path / "run" / "model.keras"), strict=True):
        np.testing.assert_allclose(half, full, rtol=1e-3, atol=1e-6)


def test_a_loss_that_is_no_number_ends_the_run_and_says_so(
    untraced: None, pack: Pack, tmp_path: Path
) -> None:
    hot = recipe(train__rate="1e30", train__warm_up_epochs="0", train__clip_norm="0")
    with pytest.raises(Diverged, match=r"the loss became nan in epoch 1.*lower train\.rate"):
        train(pack, hot, tmp_path / "run", Options(), quiet())
    assert not (tmp_path / "run" / "model.keras").exists()


def test_packs_that_cannot_be_learned_from_are_refused(tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.pack", without="middle")
    with pytest.raises(UsageError, match="training crops of every label, none of middle"):
        train(empty, recipe(), tmp_path / "run", Options(), quiet())
    assert not (tmp_path / "run").exists()
    whole = write(tmp_path / "whole.pack")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "diary.txt").write_text("mine")
    with pytest.raises(UsageError, match="expected a new or empty folder"):
        train(whole, recipe(), tmp_path / "other", Options(), quiet())
    with pytest.raises(UsageError, match="no such teacher"):
        options = Options(teachers=(tmp_path / "none.keras",))
        train(whole, recipe(), tmp_path / "run", options, quiet())


def test_targets_are_votes_without_single_ones_or_the_majority(pack: Pack) -> None:
    settings = recipe().train
    rows = training_rows(pack, settings)
    assert len(rows) == 48
    np.testing.assert_allclose(targets(pack, rows, settings), np.eye(3)[pack.truth[rows]])
    every = targets(pack, rows, replace(settings, min_votes=0))
    assert sorted(every[0]) == pytest.approx([0, 1 / 6, 5 / 6])
    few = targets(pack, rows, replace(settings, min_votes=6))  # nobody has: all count
    assert (few == every).all()
    smooth = targets(pack, rows, replace(settings, smoothing=0.3))
    assert sorted(smooth[0]) == pytest.approx([0.1, 0.1, 0.8])
    teacher = np.full((48, 3), 1 / 3, np.float32)
    half = with_teachers(every, [teacher, every], 0.5)
    np.testing.assert_allclose(half, 0.75 * every + 0.25 * teacher, rtol=1e-5)
    assert with_teachers(every, [], 0.5) is every
    np.testing.assert_allclose(log_shares(every), np.log([1 / 3] * 3), rtol=1e-5)


def test_answers_about_another_pack_are_refused(pack: Pack, tmp_path: Path) -> None:
    rows = pack.split("train")
    file = tmp_path / "answers.npz"
    write_answers(file, pack, rows[:-1], np.full((len(rows) - 1, 3), 1 / 3, np.float32))
    with pytest.raises(UsageError, match="has no answer for 1 of the training crops"):
        answers_of(file, pack, rows)
    other = write(tmp_path / "other.pack", labels=("a", "b", "c"))
    with pytest.raises(UsageError, match="answers about another pack"):
        answers_of(file, other, rows)


def test_decay_is_in_the_gradient_and_of_kernels_only() -> None:
    kernel = keras.Variable(np.full((2, 2), 3.0, np.float32))
    bias = keras.Variable(np.full(2, 3.0, np.float32))
    made = DecayingSGD(0.1, 0.01, [kernel], None)
    made.build([kernel, bias])
    made.apply([np.ones((2, 2), np.float32), np.ones(2, np.float32)])
    # Nesterov's first step moves by (1 + momentum) times the gradient.
    np.testing.assert_allclose(np.asarray(kernel), 3 - 0.1 * 1.9 * (1 + 0.03), rtol=1e-5)
    np.testing.assert_allclose(np.asarray(bias), 3 - 0.1 * 1.9, rtol=1e-5)


def test_squeeze_excite_can_be_spared_from_decay() -> None:
    from trainer.model import build

    one = recipe(model__se="0.25")
    network = build(one.model, 3)
    both = [v for v in network.trainable_variables if decays(v, one.train)]
    spared = [
        v for v in network.trainable_variables if decays(v, replace(one.train, decay_squeeze=False))
    ]
    assert all(v.path.endswith("kernel") for v in both)
    assert len(both) - len(spared) == 2 * 4
    rates = [
        float(optimizer(one.train, 4, network).learning_rate),
        float(optimizer(replace(one.train, warm_up_epochs=0), 4, network).learning_rate),
    ]
    assert rates == pytest.approx([0, 0.02])


def test_the_mean_follows_weights_and_norms() -> None:
    from trainer.model import build

    one = recipe()
    network = build(one.model, 3)
    training = Training(
        network, one, np.eye(3, dtype=np.float32), np.zeros(3, np.float32),
        np.zeros((3, SIDE, SIDE), np.uint8), 1,
    )  # fmt: skip
    before = values(training)
    for variable in training.averaged:
        variable.assign(np.ones(variable.shape, np.float32))
    training._average(keras.ops.convert_to_tensor(0, "int32"))  # (1 + 0) / (10 + 0) is kept
    for old, new in zip(before, values(training), strict=True):
        np.testing.assert_allclose(new, 0.1 * old + 0.9, rtol=1e-4, atol=1e-5)
    training._average(keras.ops.convert_to_tensor(10**6, "int32"))
    for old, new in zip(before, values(training), strict=True):
        np.testing.assert_allclose(new, 0.9 * (0.1 * old + 0.9) + 0.1, rtol=1e-4, atol=1e-5)
    names = [variable.name for variable in training.averaged]
    assert names.count("moving_variance") == names.count("gamma") > 0


def test_a_half_file_keeps_what_float16_cannot_hold(tmp_path: Path) -> None:
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Dense(3)(x))
    model.set_weights([np.full((4, 3), 1e6), np.full(3, 1e-9)])
    model.save(tmp_path / "full.keras")
    write_half(tmp_path / "full.keras", tmp_path / "half.keras")
    kernel, bias = weights(tmp_path / "half.keras")
    assert (kernel == 1e6).all()
    assert bias == pytest.approx(1e-9)
    # What fits is rounded to float16, and takes half the space; vectors are left.
    model.set_weights([np.full((4, 3), 1 / 3), np.full(3, 1 / 3)])
    model.save(tmp_path / "full.keras")
    write_half(tmp_path / "full.keras", tmp_path / "half.keras")
    kernel, bias = weights(tmp_path / "half.keras")
    assert (kernel == np.float32(np.float16(1 / 3))).all()
    assert (bias == np.float32(1 / 3)).all()
    save = save_model  # what runs write is float32
    one = recipe()
    from trainer.model import build

    values = build(one.model, 3).get_weights()
    save(tmp_path / "run.keras", one, 3, values)
    for kept, value in zip(weights(tmp_path / "run.keras"), values, strict=True):
        assert (kept == value).all()


def test_lines_say_epochs_at_once_and_steps_every_half_minute() -> None:
    now_s = [0.0]
    clock: Callable[[], float] = lambda: now_s[0]  # noqa: E731
    stream = io.StringIO()
    lines = Lines(stream, clock)
    lines.step(1, 3, 0.5, 100.0, 90.0)
    assert stream.getvalue() == ""
    now_s[0] = 31.0
    lines.step(1, 3, 0.5, 1234.0, 90.0)
    assert stream.getvalue() == "epoch 1/3: 50%, 1,234 images/s, 1:30 left\n"
    assert duration(3723) == "1:02:03"


def test_a_slim_pack_has_no_test_crops_and_is_the_same_to_learn_from(
    pack: Pack, tmp_path: Path
) -> None:
    assert slim.main([str(pack.path), str(tmp_path / "slim.pack")]) == 0
    small = Pack.open(tmp_path / "slim.pack")
    assert len(small.split("test")) == 0
    for split in ("train", "valid"):
        ours, theirs = small.split(split), pack.split(split)  # type: ignore[arg-type]
        assert (small.images(ours) == pack.images(theirs)).all()
        assert (small.votes[ours] == pack.votes[theirs]).all()
        assert (small.truth[ours] == pack.truth[theirs]).all()
    assert small.header.made["slimmed from"] == pack.header.fingerprint


def test_a_recipe_can_ask_for_sharpness_aware_steps(
    one_epoch: dict[str, float], untraced: None, pack: Pack, tmp_path: Path
) -> None:
    one = recipe(train__epochs="1", train__sam="0.5")
    assert train(pack, one, tmp_path / "run", Options(), quiet()).finished
    # The loss is that of the worst point nearby.
    (sharp,) = curve(tmp_path / "run")
    assert sharp["loss"] > one_epoch["loss"] + 0.01


def test_teachers_are_heard_and_the_mean_of_the_weights_is_what_is_kept(
    one_epoch: dict[str, float], untraced: None, pack: Pack, tmp_path: Path
) -> None:
    rows = training_rows(pack, recipe().train)
    wrong = np.roll(np.eye(3, dtype=np.float32)[pack.truth[rows]], 1, axis=1)
    write_answers(tmp_path / "wrong.npz", pack, rows, wrong)
    taught = Options(teachers=(tmp_path / "wrong.npz",))
    for name, ema, options in (("last", "0", Options()), ("taught", "0.9", taught)):
        one = recipe(train__epochs="1", train__ema=ema)
        assert train(pack, one, tmp_path / name, options, quiet()).finished
    (last,), (other,) = (curve(tmp_path / name) for name in ("last", "taught"))
    assert last["loss"] == pytest.approx(one_epoch["loss"], rel=1e-4)  # training is the same
    assert last["valid_loss"] != pytest.approx(one_epoch["valid_loss"], rel=1e-3)
    assert other["loss"] != pytest.approx(one_epoch["loss"], rel=1e-3)


def test_training_ends_when_patience_does(untraced: None, pack: Pack, tmp_path: Path) -> None:
    hot = recipe(train__rate="0.3", train__epochs="12", train__patience="1")
    outcome = train(pack, hot, tmp_path / "run", Options(), quiet())
    assert outcome.finished
    assert outcome.best["epoch"] == outcome.epochs - 1 < 11


@needs("tensorboard")
@pytest.mark.filterwarnings("default")
def test_tensorboard_shows_what_the_history_says(
    untraced: None, pack: Pack, tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    asked = threading.Event()
    asked.set()  # to stop after an epoch, so that the run goes on in a second session
    run, log = tmp_path / "run", tmp_path / "new" / "log"
    for options in (Options(log_dir=log, stop=asked), Options(log_dir=log)):
        outcome = train(pack, recipe(), run, options, quiet())
    assert outcome.finished
    history = json.loads((run / "history.json").read_text("utf-8"))
    shown = EventAccumulator(str(log))
    shown.Reload()
    assert set(shown.Tags()["tensors"]) == set(history[0]) - {"epoch"}
    for name in ("loss", "valid_accuracy", "valid_loss", "rate"):
        events = shown.Tensors(name)
        assert [event.step for event in events] == [1, 2, 3]
        values = [float(make_ndarray(event.tensor_proto)) for event in events]
        assert values == pytest.approx([entry[name] for entry in history])


@needs("tensorboard")
def test_a_log_that_cannot_be_written_is_said(untraced: None, pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"--tensorboard .*file: cannot write: File exists"):
        train(pack, recipe(), tmp_path / "run", Options(log_dir=tmp_path / "file"), quiet())


def test_tensorboard_is_asked_for_before_anything_is_trained(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.board.find_spec", lambda name: None)  # not installed
    with pytest.raises(UsageError, match="the package tensorboard is missing"):
        train(pack, recipe(), tmp_path / "run", Options(log_dir=tmp_path / "log"), quiet())
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_said_and_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "history.json"
    write_text(file, "before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(UsageError, match=r"history\.json: cannot write: File too large"):
            write_text(file, "after" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert file.read_text("utf-8") == "before"
    assert list(tmp_path.iterdir()) == [file]


def test_the_core_needs_nothing_that_a_lent_machine_lacks() -> None:
    script = (
        "import sys\n"
        "for name in ('pydantic', 'pydantic_settings', 'structlog', 'msgpack', 'redis', 'PIL'):\n"
        "    sys.modules[name] = None\n"
        "import trainer.gpu, trainer.fit, trainer.ablate, trainer.slim\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
