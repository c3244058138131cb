"""The dashboard: described in `panels`, written by ``python -m deploy.grafana``."""
