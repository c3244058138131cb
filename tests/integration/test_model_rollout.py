"""Another classifier for a running system, and back again: real networks, nothing lost."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import redis

from consumer import EventReader, in_order, smoothed, tracked
from contract.artifact import find_artifact
from contract.event import EmotionEvent, decode_record
from contract.keys import Keys
from contract.smoothed import SmoothedEvent, decode_signal
from contract.snapshot import read_snapshot
from contract.wire import FIELD
from tests.integration.processes import RoleProcess
from tests.small_model import classifier_artifact
from worker.classifier import DEFAULT_ARTIFACT, EmotionClassifier
from worker.engines.openvino import OpenVinoEngine

KEYS = Keys()
OTHER_LABELS = ("calm", "glad", "happiness")
SOME = 10  # events

Found = list[tuple[bytes, EmotionEvent]]


def events(client: redis.Redis, after: bytes = b"-") -> Found:
    """The events behind a stream entry, each with its entry's id."""
    start = after if after == b"-" else b"(" + after
    records = [
        (entry_id, decode_record(entry)) for entry_id, entry in client.xrange(KEYS.events, start)
    ]
    return [(entry_id, record) for entry_id, record in records if isinstance(record, EmotionEvent)]


def newest(client: redis.Redis) -> bytes:
    return bytes(client.xrevrange(KEYS.events, count=1)[0][0])


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two classifiers of the same name, by what they see."""
    return {
        sees: classifier_artifact(tmp_path_factory.mktemp(sees), "mine", OTHER_LABELS, sees=sees)
        for sees in ("calm", "glad")
    }


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def models(found: Found) -> set[str]:
    return {event.model for _, event in found}


def test_artifacts_of_one_name_each_have_their_own_converted_network(
    artifacts: dict[str, Path], cache: Path, tmp_path: Path
) -> None:
    engine = OpenVinoEngine("float32", threads=1, cache=cache)
    crops = np.zeros((1, 48, 48), np.uint8)
    for sees in ("calm", "glad", "calm"):  # as an operator exchanges the files, and back
        for file in artifacts[sees].parent.iterdir():
            shutil.copy(file, tmp_path)
        classifier = EmotionClassifier(engine, tmp_path / artifacts[sees].name, buckets=[1])
        (scores,) = classifier.scores(crops)
        assert classifier.manifest.labels[int(scores.argmax())] == sees
    assert len(list((cache / "openvino").glob("classifier-*"))) == 2


def test_one_worker_after_the_other_takes_another_model_and_back(
    redis_url: str,
    redis_client: redis.Redis,
    demo_clip: Path,
    artifacts: dict[str, Path],
    cache: Path,
    wait_until: Callable[..., None],
) -> None:
    _, ours = find_artifact(DEFAULT_ARTIFACT)
    _, other = find_artifact(artifacts["glad"])
    arguments = ("--redis", redis_url, "--threads", "1", "--cache", str(cache))

    def replace(old: RoleProcess, new: RoleProcess, model: str) -> None:
        """`new` comes beside `old`, which then goes."""
        new.log("ready")
        side_by_side = newest(redis_client)
        wait_until(lambda: model in models(events(redis_client, side_by_side)), 60)
        old.send(signal.SIGTERM)
        assert old.wait() == 0
        alone = newest(redis_client)
        wait_until(lambda: len(events(redis_client, alone)) >= SOME)
        assert models(events(redis_client, alone)) == {model}

    with RoleProcess("worker", *arguments) as first:
        first.log("ready")
        camera = ("--source-id", "cam", "--loop", "--fps", "10", "--redis", redis_url)
        with RoleProcess("producer", str(demo_clip), *camera) as producer:
            wait_until(lambda: len(events(redis_client)) >= SOME, 60)
            assert models(events(redis_client)) == {ours.id}
            with RoleProcess("worker", *arguments, "--model", str(artifacts["glad"])) as canary:
                replace(first, canary, other.id)
                with RoleProcess("worker", *arguments) as again:
                    replace(canary, again, ours.id)
                    producer.send(signal.SIGTERM)
                    assert producer.wait() == 0
                    wait_until(lambda: read_snapshot(redis_client, KEYS).backlog == 0, 60)

    found = [event for _, event in events(redis_client)]
    assert sorted(event.seq for event in found) == list(range(len(found)))
    snapshot = read_snapshot(redis_client, KEYS)
    assert (snapshot.events, snapshot.dead, snapshot.dropped) == (len(found), 0, {})
    assert (snapshot.unaccounted, snapshot.redelivered) == (0, 0)
    labels = {ours.id: set(ours.labels), other.id: set(other.labels)}
    for event in found:
        assert all(set(face.scores) == labels[event.model] for face in event.faces)
    assert {face.label for event in found if event.model == other.id for face in event.faces} == {
        "glad"
    }
    check_what_plays(redis_url, labels[ours.id] | labels[other.id])


def check_what_plays(redis_url: str, labels: set[str]) -> None:
    """People go on, through one model and the other."""
    with EventReader(redis_url, start="beginning", idle_s=1.0) as reader:
        played = list(smoothed(tracked(in_order(reader.records()))))
    people = [p for each in played if isinstance(each, SmoothedEvent) for p in each.people]
    assert "glad" in {person.label for person in people}
    assert all(set(person.scores) <= labels for person in people)
    for each in played:
        assert decode_signal({FIELD: each.encode()}) == each
