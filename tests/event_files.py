"""Files of events, as `emotion-up --events` writes them, gzipped or not."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from contract.event import EmotionEvent, record_from_dict


def read_events(path: Path) -> list[EmotionEvent]:
    """The events in the order of the file."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    records = [record_from_dict(json.loads(line)) for line in text.splitlines()]
    return [record for record in records if isinstance(record, EmotionEvent)]
