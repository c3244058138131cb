"""Traces from capture to event, as a collector of OpenTelemetry's receives them."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import redis
import structlog

from contract import keys as names
from contract import wire
from contract.errors import UsageError
from contract.frame import FrameMessage
from contract.keys import Keys
from contract.process.tracing import open_tracer
from contract.snapshot import Snapshot, read_snapshot
from tests.integration.processes import RoleProcess, run_role
from tests.optional import needs
from tests.ports import free_port

KEYS = Keys()
STREAM = "emotion:{partition}:frames"
POISON = 1_000
TRACEPARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

pytestmark = needs("opentelemetry")


@pytest.fixture
def receiver() -> Iterator[Any]:
    from tests.integration.otlp_receiver import OtlpReceiver

    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def small_jpeg() -> bytes:
    """Of 64x48 pixels."""
    ok, data = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))
    assert ok
    return data.tobytes()


@pytest.fixture
def traced_worker(redis_url: str, receiver: Any) -> Iterator[RoleProcess]:
    """A worker with a stop-watch for networks, which fails on frames of seq `POISON`."""
    environment = {**receiver.environment, "PACED_POISON_EVERY": str(POISON)}
    with RoleProcess("tests.paced_worker", "--redis", redis_url, environment=environment) as worker:
        yield worker


def stop(role: RoleProcess) -> None:
    role.send(signal.SIGTERM)
    assert role.wait(30) == 0


def put(client: redis.Redis, jpeg: bytes, trace: bytes | None, **fields: Any) -> None:
    """A frame as a producer sends it."""
    frame = FrameMessage("lobby", "s", 1, time.time_ns(), None, 64, 48, jpeg, trace=trace)
    fields = {name: getattr(frame, name) for name in FrameMessage.__slots__} | fields
    client.xadd(KEYS.frames, {wire.FIELD: FrameMessage(**fields).encode()})
    client.hincrby(KEYS.stats, names.PUBLISHED, 1)


def settled(client: redis.Redis, wait_until: Callable[..., None]) -> Snapshot:
    wait_until(lambda: read_snapshot(client, KEYS).backlog == 0, 60, "all settled")
    return read_snapshot(client, KEYS)


def sent(client: redis.Redis) -> list[FrameMessage]:
    """The frames that nobody has settled."""
    return [FrameMessage.decode(entry) for _, entry in client.xrange(KEYS.frames)]


def test_a_trace_follows_a_frame_from_capture_to_event(
    redis_url: str,
    redis_client: redis.Redis,
    demo_clip: Path,
    receiver: Any,
    wait_until: Callable[..., None],
) -> None:
    flags, environment = ("--redis", redis_url), receiver.environment
    clip = (str(demo_clip), "--no-realtime", "--fps", "2")
    with (
        RoleProcess("worker", *flags, "--batch-size", "4", environment=environment) as worker,
        RoleProcess("producer", *clip, *flags, environment=environment) as producer,
    ):
        assert producer.wait() == 0
        name = worker.log("ready")["worker"]
        frames = settled(redis_client, wait_until).events
        stop(worker)

    assert len(receiver.traces()) == frames > 20
    for trace in receiver.traces().values():
        spans = {span.name.removesuffix(f" {STREAM}"): span for span in trace}
        assert {name: (span.service[8:], span.kind) for name, span in spans.items()} == {
            "capture": ("producer", "internal"),
            "encode": ("producer", "internal"),
            "send": ("producer", "producer"),
            "queue wait": ("worker", "internal"),
            "process": ("worker", "consumer"),
            "lane wait": ("worker", "internal"),
            "decode": ("worker", "internal"),
            "detect": ("worker", "internal"),
            "crop": ("worker", "internal"),
            "classify": ("worker", "internal"),
            "settle": ("worker", "client"),
        }
        ids = {span.id: name for name, span in spans.items()}
        assert {name: ids.get(span.parent) for name, span in spans.items()} == {
            "capture": None,
            "encode": "capture",
            "send": "capture",
            "queue wait": "send",
            "process": "send",
            **dict.fromkeys(
                ("lane wait", "decode", "detect", "crop", "classify", "settle"), "process"
            ),
        }
        assert [ids[span] for span in spans["process"].links] == ["send"]

        # Not `send`: a worker may have the frame before its producer has Redis' reply.
        in_turn = ["encode", "lane wait", "decode", "detect", "crop", "classify", "settle"]
        times = [t for step in in_turn for t in (spans[step].start_ns, spans[step].end_ns)]
        assert times == sorted(times)
        for span in trace:
            outer = next((other for other in trace if other.id == span.parent), span)
            assert outer.start_ns <= span.start_ns <= span.end_ns
            # What was sent is processed after it was sent.
            assert outer.name == f"send {STREAM}" or span.end_ns <= outer.end_ns
        assert spans["queue wait"].end_ns == spans["process"].start_ns

        end = spans["process"].attributes
        assert (end["emotion.outcome"], end["messaging.client.id"]) == ("event", name)
        for key in ("emotion.source", "emotion.session", "emotion.seq"):
            assert end[key] == spans["capture"].attributes[key]
        assert 1 <= spans["detect"].attributes["messaging.batch.message_count"] <= 4
        assert not any(span.is_error for span in trace)
        text = " ".join(str(value) for span in trace for value in span.attributes.values())
        assert "://" not in text
        assert str(demo_clip) not in text


def test_only_frames_that_are_sampled_carry_a_trace(
    redis_url: str, redis_client: redis.Redis, demo_clip: Path, receiver: Any
) -> None:
    half = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}
    command = ("producer", str(demo_clip), "--no-realtime", "--fps", "5", "--redis", redis_url)
    with RoleProcess(*command, environment={**receiver.environment, **half}) as producer:
        assert producer.wait() == 0
    frames = sent(redis_client)
    headers = {frame.trace.decode() for frame in frames if frame.trace is not None}
    spans = {span.name.partition(" ")[0]: span for span in receiver.spans()}
    assert set(spans) == {"capture", "encode", "send"}
    assert all(int(header[-2:], 16) & 1 for header in headers)  # the flag that says: sampled
    assert {header[:-3] for header in headers} == {
        f"00-{span.trace}-{span.id}" for span in receiver.spans() if span.name == f"send {STREAM}"
    }
    assert 0 < len(headers) < len(frames)  # of 88: neither, but by a chance of 1 in 10^26


def test_a_trace_that_is_none_is_ignored(
    redis_client: redis.Redis,
    receiver: Any,
    traced_worker: RoleProcess,
    small_jpeg: bytes,
    wait_until: Callable[..., None],
) -> None:
    garbage = [
        b"",
        b"\x00\xff" * 256,
        b"a" * wire.MAX_TRACE_BYTES,
        TRACEPARENT[:-1],
        TRACEPARENT.replace(b"0af7651916cd43dd8448eb211c80319c", b"0" * 32),
        TRACEPARENT[:-2] + b"00",  # not sampled
    ]
    for trace in garbage:
        put(redis_client, small_jpeg, trace)
    after = settled(redis_client, wait_until)
    stop(traced_worker)
    assert (after.events, after.dead) == (len(garbage), 0)
    assert receiver.spans() == []


def test_a_frame_that_becomes_no_event_says_why(
    redis_client: redis.Redis,
    receiver: Any,
    traced_worker: RoleProcess,
    small_jpeg: bytes,
    wait_until: Callable[..., None],
) -> None:
    cut_off = small_jpeg[: small_jpeg.index(b"\xff\xda")]  # its header says the size
    put(redis_client, cut_off, TRACEPARENT)
    put(redis_client, small_jpeg, TRACEPARENT, captured_at_ns=1, max_age_ns=1)
    put(redis_client, small_jpeg, TRACEPARENT, seq=POISON)
    settled(redis_client, wait_until)
    stop(traced_worker)
    ends = [span for span in receiver.spans() if span.name == f"process {STREAM}"]
    assert {(span.trace, span.parent) for span in ends} == {
        tuple(TRACEPARENT.decode().split("-")[1:3])
    }
    about = ("emotion.outcome", "emotion.reason", "error.type")
    assert {(*(span.attributes.get(key) for key in about), span.is_error) for span in ends} == {
        ("dead", "image", "image", True),
        ("dead", "error", "error", True),
        ("drop", "stale", None, False),
    }
    steps = Counter(span.name.partition(" ")[0] for span in receiver.spans())
    # However often it was tried, a frame waits in Redis once and ends once.
    assert (steps["queue"], steps["process"], steps["settle"]) == (3, 3, 3)
    assert steps["lane"] > 3


@pytest.mark.parametrize(("status", "why"), [(None, "refused"), (401, "401")])
def test_a_collector_that_takes_no_traces_costs_one_line_in_all(
    status: int | None,
    why: str,
    receiver: Any,
    monkeypatch: pytest.MonkeyPatch,
    wait_until: Callable[..., None],
) -> None:
    receiver.status = status
    endpoint = receiver.environment["OTEL_EXPORTER_OTLP_ENDPOINT"]
    if status is None:
        endpoint = f"http://user:secret@127.0.0.1:{free_port()}"
    for name, value in {
        **receiver.environment,
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1.5",
        "OTEL_BSP_SCHEDULE_DELAY": "1",
        "OTEL_BSP_MAX_QUEUE_SIZE": "4",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2",
    }.items():
        monkeypatch.setenv(name, value)
    tracer = open_tracer("emotion-test", "emotion")
    assert tracer is not None

    def trace_more_than_the_queue_holds() -> None:
        for _ in range(10):
            span = tracer.begin("capture", 1, {})
            assert span is not None
            span.end(2)

    def is_said_and_tried_again() -> bool:
        trace_more_than_the_queue_holds()
        return bool(lines) and (status is None or receiver.requests > 5)

    with structlog.testing.capture_logs() as lines:
        wait_until(is_said_and_tried_again)
        tracer.close()
    assert [line["event"] for line in lines] == ["traces get lost, which is not said again"]
    assert why in str(lines)
    assert "secret" not in str(lines)


def test_a_variable_that_the_sdk_does_not_take_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "1")
    with pytest.raises(UsageError, match="max_export_batch_size must be"):
        open_tracer("emotion-test", "emotion")


@pytest.mark.parametrize("role", ["producer", "worker"])
def test_without_the_extra_a_role_that_shall_trace_says_so(
    role: str, demo_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    sources = [str(demo_clip)] if role == "producer" else []
    code, stderr = run_role("tests.without_otel", [role, *sources])
    assert (code, stderr) == (
        2,
        f"emotion-{role}: needs opentelemetry, which is not installed: "
        "pip install 'emotion-stream[otel]'\n",
    )


def test_without_the_extra_the_roles_run(
    redis_url: str,
    redis_client: redis.Redis,
    demo_clip: Path,
    small_jpeg: bytes,
    wait_until: Callable[..., None],
) -> None:
    flags = ("--redis", redis_url)
    clip = (str(demo_clip), "--no-realtime", "--fps", "2", *flags)
    with RoleProcess("tests.without_otel", "producer", *clip) as producer:
        assert producer.wait() == 0
    assert {frame.trace for frame in sent(redis_client)} == {None}
    put(redis_client, small_jpeg, TRACEPARENT)  # of a producer that has it
    with RoleProcess("tests.without_otel", "tests.paced_worker", *flags) as worker:
        after = settled(redis_client, wait_until)
        stop(worker)
    assert (after.events, after.dead) == (after.published, 0)
