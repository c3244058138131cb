"""The files of rules/ as PrometheusRule objects: each one's text is a `spec` as it is."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

_RULES = Path(__file__).with_name("rules")
FILE = _RULES.parent.parent / "k8s" / "operators" / "rules.yaml"

_HEAD = "# Written by python -m deploy.prometheus, of deploy/prometheus/rules: edit those.\n"
_OBJECT = """\
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: emotion-stream-{name}
spec:
{spec}"""


def as_yaml() -> str:
    """The text of `FILE`."""
    files = sorted(_RULES.glob("*.yml"))
    objects = [
        _OBJECT.format(name=file.stem, spec=indent(file.read_text("utf-8"), "  ")) for file in files
    ]
    return _HEAD + "".join(objects)
