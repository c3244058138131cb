"""``python -m deploy.prometheus`` writes the rules as the Prometheus operator takes them."""

from __future__ import annotations

from deploy.prometheus.operator_rules import FILE, as_yaml

if __name__ == "__main__":
    FILE.write_text(as_yaml(), "utf-8")
    print(FILE)
