"""``python -m deploy.grafana`` writes the dashboard that Grafana imports."""

from __future__ import annotations

from deploy.grafana.dashboard import FILE, as_json

if __name__ == "__main__":
    FILE.write_text(as_json(), "utf-8")
    print(FILE)
