"""Files made to do harm: models with code in them, archives that climb out or blow up."""

from __future__ import annotations

import ast
import json
import stat
import subprocess
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from contract.artifact import ModelManifest, file_sha256, find_artifact
from contract.errors import ArtifactError, UsageError
from tests.conftest import REPOSITORY
from tests.lookalikes import jpeg, portrait
from trainer.data.files import list_files
from trainer.data.record import Unreadable
from trainer.teachers import read_answers

# What runs code that it finds in its input.
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "cloudpickle"}
SAFE_ONLY = {"allow_pickle": False, "safe_mode": True, "shell": False}
UNSAFE_CALLS = {"eval", "exec", "compile", "enable_unsafe_deserialization"}


def sources() -> list[Path]:
    """Our programs, as git knows them; tests may do as they like."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.py"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return [REPOSITORY / name for name in listed.splitlines() if not name.startswith("tests/")]


def unsafe(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [name.name for name in node.names]
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            found += [name for name in names if name.partition(".")[0] in UNSAFE_MODULES]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found += [node.func.id] if node.func.id in UNSAFE_CALLS else []
        if isinstance(node, ast.Attribute) and node.attr == "enable_unsafe_deserialization":
            found.append(node.attr)
        if isinstance(node, ast.keyword) and node.arg in SAFE_ONLY:
            safe = isinstance(node.value, ast.Constant) and node.value.value is SAFE_ONLY[node.arg]
            found += [] if safe else [node.arg]
    return found


def test_nothing_of_ours_runs_code_that_it_finds_in_a_file() -> None:
    assert len(sources()) > 150
    found = {
        path.relative_to(REPOSITORY).as_posix(): names
        for path in sources()
        if (names := unsafe(ast.parse(path.read_text("utf-8"))))
    }
    assert found == {}
    assert unsafe(ast.parse("import pickle\nnp.load(x, allow_pickle=True)\neval(y)")) != []


# Models


def artifact(folder: Path, model: bytes, **changes: object) -> Path:
    """A manifest and its model; returns the manifest."""
    (folder / "mine.keras").write_bytes(model)
    manifest = folder / "mine.json"
    sha256 = file_sha256(folder / "mine.keras")
    ModelManifest(name="mine", file="mine.keras", sha256=sha256, labels=("a", "b")).write(manifest)
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **changes}))
    return manifest


@pytest.mark.parametrize(
    "file",
    ["../mine.keras", "/etc/passwd", "sub/mine.keras", "..", "", "mine.h5", "mine.keras/../x.h5"],
)
def test_a_manifest_names_a_model_beside_it_in_the_one_safe_format(
    file: str, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match=r"expected a plain file name NAME\.keras, got"):
        find_artifact(artifact(tmp_path, b"weights", file=file))


@pytest.mark.parametrize("file", ["../x.xml", "/x.xml", "a/x.xml", "x.bin"])
def test_so_does_its_int8_entry(file: str, tmp_path: Path) -> None:
    sums = dict.fromkeys(("source_sha256", "xml_sha256", "bin_sha256"), "0")
    with pytest.raises(ArtifactError, match="expected a plain file name"):
        find_artifact(artifact(tmp_path, b"weights", int8={"file": file, **sums}))


@pytest.fixture(scope="module")
def with_code(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Path]:
    """A model that would write a file when it is loaded, and that file."""
    import keras

    folder = tmp_path_factory.mktemp("hostile")
    mark = folder / "was here"
    crops = keras.Input((8, 8, 1))
    code = eval(f"lambda x: (open({str(mark)!r}, 'w').close(), x)[1]")
    maps = keras.layers.Lambda(code, output_shape=(8, 8, 1))(crops)
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(maps))
    keras.Model(crops, outputs).save(folder / "mine.keras")
    mark.unlink(missing_ok=True)
    return (folder / "mine.keras").read_bytes(), mark


def test_a_worker_refuses_a_model_with_code_in_it(
    with_code: tuple[bytes, Path], tmp_path: Path
) -> None:
    from worker.classifier import classifier_source

    model, mark = with_code
    manifest = artifact(tmp_path, model, input_shape=[8, 8, 1])
    _, source = classifier_source(manifest)
    with pytest.raises(ArtifactError, match=r"Keras cannot load it: .*Lambda"):
        source.build()
    assert not mark.exists()


def test_so_does_the_trainer(with_code: tuple[bytes, Path], tmp_path: Path) -> None:
    from trainer.network import Network

    model, mark = with_code
    path = tmp_path / "mine.keras"
    path.write_bytes(model)
    with pytest.raises(ArtifactError, match=r"Keras cannot load it: .*Lambda"):
        Network(path)
    assert not mark.exists()
    hdf5 = path.rename(tmp_path / "mine.h5")
    with pytest.raises(ArtifactError, match=r"mine\.h5: expected a \.keras file"):
        Network(hdf5)


def test_a_teachers_answers_hold_no_objects(tmp_path: Path) -> None:
    path = tmp_path / "answers.npz"
    objects = np.array([{"run": "this"}], object)
    np.savez(path, fingerprint=objects, rows=np.arange(1), answers=np.zeros((1, 2)))
    with pytest.raises(UsageError, match="cannot read a teacher's answers: Object arrays"):
        read_answers(path, None, np.arange(1))  # type: ignore[arg-type]


# Archives


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_an_archive_that_climbs_out_is_only_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from trainer.cli import main

    names = (
        "happiness/../../climbs.jpg", "happiness//absolute.jpg", "anger\\..\\..\\back.jpg",
        "../../above.jpg", "/root.jpg", "anger/d.jpg", "C:\\windows\\e.jpg",
    )  # fmt: skip
    data = tmp_path / "in" / "data.zip"
    data.parent.mkdir()
    with zipfile.ZipFile(data, "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(name, jpeg(portrait("hopper.jpg")[number:]))
        link = zipfile.ZipInfo("happiness/link.jpg")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    # Whatever climbs or leads elsewhere is passed over; the rest are names, never paths.
    assert [file.name for file in list_files(data).files] == [
        "/root.jpg", "C:/windows/e.jpg", "anger/d.jpg", "happiness//absolute.jpg",
    ]  # fmt: skip
    before = tree(tmp_path)
    out = tmp_path / "out"
    code = main(["prepare", str(data), "--out", str(out / "x.pack"), "--labels", "happiness,anger"])
    assert code == 0, capsys.readouterr().err
    written = tree(tmp_path) - before
    assert all(name.startswith("out") for name in written), written


def test_a_member_that_lies_about_its_size_is_not_unpacked_past_it(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.jpg", bytes(50_000_000))
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\1\2")
    data[entry + 24 : entry + 28] = (1000).to_bytes(4, "little")  # its size, in the directory
    path.write_bytes(data)
    (file,) = list_files(path).files
    unpacked = []

    class Watched:
        """zlib's, and how much it gave."""

        def __init__(self, bits: int) -> None:
            self._real = real(bits)

        def decompress(self, stored: bytes, most: int) -> bytes:
            unpacked.append(len(part := self._real.decompress(stored, most)))
            return part

    real = zlib.decompressobj
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Unreadable, match="damaged"):
        patch.setattr(zlib, "decompressobj", Watched)
        file.source.read()
    assert unpacked == [1001]
