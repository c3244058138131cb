"""A role where OpenTelemetry is not installed: ``python -m tests.without_otel ROLE FLAGS``."""

from __future__ import annotations

import runpy
import sys

if __name__ == "__main__":
    sys.modules["opentelemetry"] = None  # type: ignore[assignment]  # as if it were not there
    role = sys.argv.pop(1)
    runpy.run_module(role, run_name="__main__", alter_sys=True)
