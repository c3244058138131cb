"""Hypothesis strategies for the messages of the contract."""

from __future__ import annotations

from typing import get_args

import cv2
import numpy as np
from hypothesis import strategies as st

from contract.affect import Affect
from contract.event import Box, EmotionEvent, FaceEmotion, SourceRecord
from contract.frame import FrameMessage
from contract.smoothed import Change, Person, RejectedFace, Rejection, SmoothedEvent, Transition

names = st.text(
    st.characters(categories=("L", "N", "P", "S"), exclude_characters="/"), min_size=1, max_size=128
)
times_ns = st.integers(0, 2**63 - 1)
any_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)  # fmt: skip
probabilities = st.floats(0.0, 1.0)
affects = st.floats(-1.0, 1.0)


def jpeg(width: int, height: int) -> bytes:
    """A real JPEG of noise."""
    image = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), np.uint8)
    ok, data = cv2.imencode(".jpg", image)
    assert ok
    return data.tobytes()


@st.composite
def frames(draw: st.DrawFn) -> FrameMessage:
    width, height = draw(st.integers(1, 64)), draw(st.integers(1, 64))
    return FrameMessage(
        source=draw(names),
        session=draw(names),
        seq=draw(times_ns),
        captured_at_ns=draw(times_ns),
        pts_ns=draw(st.none() | st.integers(-(2**63) + 1, 2**63 - 1)),
        width=width,
        height=height,
        image=jpeg(width, height),
        max_age_ns=draw(st.none() | times_ns),
        trace=draw(st.none() | st.binary(max_size=512)),
    )


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    left, top = draw(st.integers(0, 16_000)), draw(st.integers(0, 16_000))
    return Box(left, top, draw(st.integers(left + 1, 16_384)), draw(st.integers(top + 1, 16_384)))


faces = st.builds(
    FaceEmotion,
    box=boxes(),
    detection=probabilities,
    label=names,
    scores=st.dictionaries(names, probabilities, min_size=1, max_size=10),
    valence=affects,
    arousal=affects,
    sharpness=st.none() | st.floats(0.0, 1e6),
)
events = st.builds(
    EmotionEvent,
    source=names,
    session=names,
    seq=times_ns,
    captured_at_ns=times_ns,
    pts_ns=st.none() | st.integers(-(2**63) + 1, 2**63 - 1),
    published_at_ns=times_ns,
    width=st.integers(1, 16_384),
    height=st.integers(1, 16_384),
    model=names,
    faces=st.lists(faces, max_size=4).map(tuple),
)
source_records = st.builds(
    SourceRecord,
    source=names,
    session=names,
    state=st.sampled_from(["started", "ended", "offline"]),
    at_ns=times_ns,
    frames=st.none() | times_ns,
)

people = st.builds(
    Person,
    track=st.integers(1, 2**63 - 1),
    voice=st.integers(1, 2**63 - 1),
    box=boxes(),
    seen=st.booleans(),
    label=names,
    scores=st.dictionaries(names, probabilities, min_size=1, max_size=10),
    valence=affects,
    arousal=affects,
)
smoothed_events = st.builds(
    SmoothedEvent,
    source=names,
    session=names,
    seq=times_ns,
    captured_at_ns=times_ns,
    pts_ns=st.none() | st.integers(-(2**63) + 1, 2**63 - 1),
    published_at_ns=times_ns,
    width=st.integers(1, 16_384),
    height=st.integers(1, 16_384),
    people=st.lists(people, max_size=4).map(tuple),
    room=st.none() | st.builds(Affect, affects, affects),
    rejected=st.lists(
        st.builds(RejectedFace, boxes(), st.sampled_from(get_args(Rejection))), max_size=4
    ).map(tuple),
)
transitions = st.builds(
    Transition,
    source=names,
    session=names,
    change=st.sampled_from(get_args(Change)),
    at_ns=times_ns,
    track=st.integers(1, 2**63 - 1),
    voice=st.integers(1, 2**63 - 1),
    label=names,
    before=st.none() | names,
)
signals = smoothed_events | transitions | source_records
