"""Every `EMOTION_*` variable there is, and what to say about one that is none.

All roles may share one file of variables, so each knows those of all; none imports another, so the
names are here. `tests/unit/test_variables.py` holds them against all settings and the repository.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

ENV_PREFIX = "EMOTION_"

# The settings of all commands, each with a good value; for a choice its settings class knows one.
SETTINGS: Mapping[str, str] = {
    "AFFECT": "affect.json",
    "ALL": "true",
    "ALLOW": "blurred,unsure",
    "ANNOTATE": "seen.mp4",
    "ANSWERS": "true",
    "AT_ONCE": "4",
    "BATCH_SIZE": "16",
    "CACHE": "/var/cache/emotion-stream",
    "CALIBRATE": "400",
    "COUNT": "100",
    "CSV": "people.csv",
    "DATA": "photos",
    "DECODE_THREADS": "4",
    "DELAY": "100ms",
    "DETECTOR_OUT": "int8",
    "DETECT_EVERY": "3",
    "DWELL": "1s",
    "ENGINE": "auto",
    "EPOCHS": "30",
    "EVENTS": "events.jsonl",
    "FACES": "my.pack",
    "FILE": "session.jsonl",
    "FOR": "5m",
    "FORCE": "true",
    "FORGET": "1s",
    "FORMAT": "table",
    "FPS": "10",
    "FROM": "now",
    "FULL_TIMEOUT": "14400",
    "GROUP": "recorder",
    "HELD_MB": "4096",
    "HOST": "127.0.0.1",
    "HYSTERESIS": "0.1",
    "ID": "1767225600000-0",
    "IDLE": "10s",
    "IMAGE": "face.jpg",
    "INT8": "true",
    "INTO_MANIFEST": "true",
    "JSON": "true",
    "JSONL": "people.jsonl",
    "KEEP_DEAD": "1000",
    "KEEP_DEAD_DAYS": "7",
    "KEEP_DEAD_MB": "256",
    "KEEP_EVENTS": "100000",
    "KEEP_PUBLISHED": "100000",
    "LABELS": "calm,glad,sad",
    "LABEL_MAP": "names.toml",
    "LATENESS": "200ms",
    "LIMIT": "100",
    "LOG_FORMAT": "json",
    "LOG_LEVEL": "info",
    "LOOP": "true",
    "MADE": "licence=private",
    "MAX_AGE": "10",
    "MAX_ATTEMPTS": "3",
    "MAX_BACKLOG": "256",
    "MAX_WAIT": "0.01",
    "MAX_WIDTH": "1280",
    "MERGE": "true",
    "METRICS_HOST": "127.0.0.1",
    "METRICS_PORT": "9100",
    "MIDI": "take.mid",
    "MINUTES": "60",
    "MIN_FACE": "24",
    "MODE": "live",
    "MODEL": "mine.keras",
    "NAME": "korean",
    "NOW": "true",
    "NUMBER": "4",
    "OLDER_THAN": "7d",
    "OPEN": "true",
    "OSC": "127.0.0.1:9000",
    "OSC_BY": "track",
    "OUT": "my.pack",
    "OUTPUT": "logits",
    "PACK": "my.pack",
    "PACKS": "my.pack",
    "PARTITIONS": "2",
    "PORT": "8080",
    "PRECISION": "auto",
    "PREFIX": "emotion",
    "PUBLISH": "true",
    "QUALITY": "90",
    "QUIET": "true",
    "RANGE": "0..1",
    "RATE": "10Hz",
    "REALTIME": "true",
    "REASON": "image",
    "RECIPE": "best",
    "RECONNECT_MAX": "10",
    "RECORD": "recordings",
    "RECORDS": "true",
    "REDIS": "redis://127.0.0.1:6379",
    "REDIS_FILE": "/run/secrets/redis.url",
    "REDIS_TIMEOUT": "60",
    "SAVE": "frame.msgpack",
    "SAVE_EVERY": "60",
    "SEED": "1",
    "SEEDS": "3",
    "SET": "train.epochs=30",
    "SMOOTHED": "true",
    "SMOOTHING": "400ms",
    "SOURCE": "rtsp://camera/stream",
    "SOURCE_FILE": "/run/secrets/sources",
    "SOURCE_ID": "lobby",
    "SPEED": "2",
    "SPLIT": "test",
    "TEACHER": "best/model.keras",
    "TEMPERATURE": "0.6",
    "TENSORBOARD": "curves",
    "THREADS": "4",
    "THRESHOLD": "0.5",
    "TIMEOUT": "300",
    "TOKEN": "16-or-more-letters-of-yours",
    "TOKEN_FILE": "/run/secrets/token",
    "VIDEOS": "clips",
    "VIEW": "true",
    "VIEW_PORT": "8080",
    "WAIT": "true",
    "WORKERS": "2",
    "YES": "true",
}

# What compose.yaml and the tests read, in files and shells that roles share with them.
OTHERS = frozenset(
    ("FUZZ_ENTRIES", "FUZZ_SEED", "GID", "MEDIA", "REDIS_MEMORY", "TEST_IMAGES", "UID", "VERSION")
)

_KNOWN = frozenset(SETTINGS) | OTHERS

# What Kubernetes adds to a pod's environment for each service of its namespace: these by their
# names, and NAME_PORT, which may be a setting's name, by its value.
_SERVICE = re.compile(
    r"(?:(.+?)_)?(?:SERVICE_HOST|SERVICE_PORT(?:_.+)?"
    r"|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_SERVICE_PORT = re.compile(r"(?:(.+)_)?PORT")
_SERVICE_URL = re.compile(r"(?:tcp|udp|sctp)://")


def variable(name: str) -> str:
    """What a setting is called in the environment."""
    return ENV_PREFIX + name.upper()


def without_prefix(name: str) -> str | None:
    """What follows `EMOTION_`, in capitals: settings go by either. None for others' variables."""
    name = name.upper()
    return name.removeprefix(ENV_PREFIX) if name.startswith(ENV_PREFIX) else None


def unknown_variables(environment: Mapping[str, str], own: Iterable[str] = ()) -> list[str]:
    """A sentence about each `EMOTION_*` variable that no part of this system reads, nor the command
    whose `own` settings are called so.

    One about all that Kubernetes made of a service: there are seven of each.
    """
    known = _KNOWN | {name.upper() for name in own}
    services = of_services(environment)
    injected = set().union(*services.values())
    faults = [_about_service(service, sorted(names)) for service, names in services.items()]
    for name in sorted(environment.keys() - injected):
        word = without_prefix(name)
        if word is not None and word not in known:
            faults.append(f"{name}: no setting is called so{_nearest(word, known)}")
    return faults


def of_services(environment: Mapping[str, str]) -> dict[str, set[str]]:
    """The `EMOTION_*` variables that Kubernetes made of services, by the services' names."""
    found: dict[str, set[str]] = {}
    for name, value in environment.items():
        word = without_prefix(name)
        if word is None:
            continue
        match = _SERVICE.fullmatch(word) if word not in _KNOWN else None
        if match is None and _SERVICE_URL.match(value):
            match = _SERVICE_PORT.fullmatch(word)
        if match is not None:
            service = f"emotion-{match[1]}" if match[1] else "emotion"
            found.setdefault(service.replace("_", "-").lower(), set()).add(name)
    return found


def _about_service(service: str, names: Sequence[str]) -> str:
    others = len(names) - 1
    what = names[0] if not others else f"{names[0]} and {others} more"
    taken = [name for name in names if without_prefix(name) in SETTINGS]
    hidden = f" ({taken[0]} among them hides the setting of that name)" if taken else ""
    return (
        f"{what}: Kubernetes made this of its service {service}, it is no setting{hidden}; put "
        "enableServiceLinks: false into the pod's spec"
    )


def _nearest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f", did you mean {ENV_PREFIX}{close[0]}?" if close else "; --help names all settings"
