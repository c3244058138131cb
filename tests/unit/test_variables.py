"""The environment's variables: all are known, and what is none of them is said."""

from __future__ import annotations

import os
import subprocess

import pytest

from consumer.settings import EventsSettings
from contract.errors import UsageError
from contract.process.faults import example_of
from contract.process.settings import ProcessSettings, read_settings
from contract.process.variables import OTHERS, SETTINGS, of_services, unknown_variables, variable
from producer.settings import ProducerSettings
from tests.settings_classes import ROOT, fields_of, settings_classes
from worker.settings import WorkerSettings

# What their examples name would have to be there.
FILES = ("affect", "model", "redis_file", "source_file", "token_file")
KUBERNETES = {
    "EMOTION_VIEW_SERVICE_HOST": "10.0.0.1",
    "EMOTION_VIEW_SERVICE_PORT": "8080",
    "EMOTION_VIEW_SERVICE_PORT_HTTP": "8080",
    "EMOTION_VIEW_PORT": "tcp://10.0.0.1:8080",
    "EMOTION_VIEW_PORT_8080_TCP": "tcp://10.0.0.1:8080",
    "EMOTION_VIEW_PORT_8080_TCP_PROTO": "tcp",
    "EMOTION_VIEW_PORT_8080_TCP_PORT": "8080",
    "EMOTION_VIEW_PORT_8080_TCP_ADDR": "10.0.0.1",
}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("EMOTION_")]:
        monkeypatch.delenv(name)


def faults(cls: type[ProcessSettings], *argv: str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        read_settings(cls, "thing", argv)
    return str(caught.value).split("\n  ")


def test_the_table_is_what_all_settings_are_called() -> None:
    called = {name.upper() for cls in settings_classes() for name, _ in fields_of(cls)}
    assert called - SETTINGS.keys() == set(), "put them into contract/process/variables.py"
    assert SETTINGS.keys() - called == set(), "no settings any more"
    assert list(SETTINGS) == sorted(SETTINGS)


def test_every_example_is_a_good_value(monkeypatch: pytest.MonkeyPatch) -> None:
    for cls in settings_classes():
        for name, field in fields_of(cls):
            example = example_of(name, field)
            assert example, f"{cls.__name__}.{name}"
            if name in FILES:
                continue
            with monkeypatch.context() as environment:
                environment.setenv(variable(name), example)
                try:
                    read_settings(cls, "thing", [])
                except UsageError as error:  # of something else that is missing
                    assert f"{variable(name)}: " not in str(error)


def test_whatever_the_repository_names_is_known() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    made_up = {f"tests/unit/test_{name}.py" for name in ("variables", "process", "faults")}
    command = ["git", "grep", "-IohE", r"EMOTION_[A-Z0-9_]*[A-Z0-9]", "--", "."]
    command += [f":!{path}" for path in sorted(made_up)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    names = set(found.stdout.split())
    assert len(names) > 20
    assert unknown_variables(dict.fromkeys(names, "")) == []
    for name in OTHERS:
        assert f"EMOTION_{name}" in names, "nobody reads it any more"


def test_all_roles_may_share_their_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, example in SETTINGS.items():
        if name.lower() not in FILES:
            monkeypatch.setenv(variable(name), example)
    for name in OTHERS:
        monkeypatch.setenv(variable(name), "1")
    assert read_settings(WorkerSettings, "thing", []).batch_size == 16
    assert read_settings(ProducerSettings, "thing", []).fps == 10
    assert read_settings(EventsSettings, "thing", []).group == "recorder"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("EMOTION_BATCHSIZE", "did you mean EMOTION_BATCH_SIZE?"),
        ("EMOTION_MAX_WIDHT", "did you mean EMOTION_MAX_WIDTH?"),  # a producer's, at a worker
        ("EMOTION_METRIC_PORT", "did you mean EMOTION_METRICS_PORT?"),
        ("emotion_reddis", "did you mean EMOTION_REDIS?"),
        ("EMOTION_QQ", "--help names all settings"),
    ],
)
def test_an_unknown_variable_is_named_with_the_one_that_was_meant(
    name: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "9100")
    (line,) = faults(WorkerSettings)
    assert line.startswith(f"{name}: no setting is called so") and line.endswith(said)


def test_variables_are_known_in_small_letters_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("emotion_batch_size", "4")
    monkeypatch.setenv("OTHER_EMOTION_X", "4")
    assert read_settings(WorkerSettings, "thing", []).batch_size == 4


def test_what_kubernetes_adds_is_one_line_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in KUBERNETES.items():
        monkeypatch.setenv(name, value)
    (line,) = faults(WorkerSettings)
    assert line == (
        "EMOTION_VIEW_PORT and 7 more: Kubernetes made this of its service emotion-view, it is no "
        "setting (EMOTION_VIEW_PORT among them hides the setting of that name); put "
        "enableServiceLinks: false into the pod's spec"
    )


def test_kubernetes_and_settings_of_the_same_name_are_told_apart() -> None:
    assert of_services(
        {
            "EMOTION_PORT": "tcp://10.0.0.1:80",
            "EMOTION_SERVICE_HOST": "10.0.0.1",
            "EMOTION_REDIS_PORT_6379_TCP_ADDR": "10.0.0.2",
            "EMOTION_METRICS_PORT": "9100",
            "EMOTION_VIEW_PORT": "8080",
            "VIEW_SERVICE_HOST": "10.0.0.1",
        }
    ) == {
        "emotion": {"EMOTION_PORT", "EMOTION_SERVICE_HOST"},
        "emotion-redis": {"EMOTION_REDIS_PORT_6379_TCP_ADDR"},
    }


def test_a_setting_that_kubernetes_hid_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from deploy.local.settings import UpSettings

    for name, value in KUBERNETES.items():
        monkeypatch.setenv(name, value)
    assert len(faults(UpSettings, "clip.mp4")) == 1


def test_help_comes_whatever_the_environment_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EMOTION_QQ", "1")
    monkeypatch.setenv("EMOTION_BATCH_SIZE", "many")
    with pytest.raises(SystemExit) as ended:
        read_settings(WorkerSettings, "emotion-worker", ["--help"])
    assert ended.value.code == 0
    assert "--batch-size" in capsys.readouterr().out
