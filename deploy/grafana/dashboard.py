"""The dashboard as Grafana 11 and later import it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.grafana.frames import BACKLOG, FUNNEL, LATENCY, NOW
from deploy.grafana.machines import GPU, REDIS
from deploy.grafana.panel import ROW_WIDTH, Panel, Row
from deploy.grafana.roles import EMOTIONS, SOURCES, WORKERS

ROWS = (NOW, FUNNEL, LATENCY, BACKLOG, WORKERS, SOURCES, EMOTIONS, REDIS, GPU)
FILE = Path(__file__).with_name("dashboards") / "emotion-stream.json"

_SCHEMA_VERSION = 39  # Grafana 11.0's; newer ones convert it when they read it
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_STAT_HEIGHT, _HEIGHT = 4, 8


def as_json() -> str:
    """The text of `FILE`."""
    return json.dumps(_dashboard(), indent=1, ensure_ascii=False) + "\n"


def _dashboard() -> dict[str, Any]:
    return {
        "uid": "emotion-stream",
        "title": "emotion-stream",
        "description": "From camera to event. Written by python -m deploy.grafana.",
        "tags": ["emotion-stream"],
        "schemaVersion": _SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,  # one crosshair in all panels
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "timezone": "browser",
        "templating": {"list": list(_variables())},
        "annotations": {"list": [_alerts()]},
        "links": [],
        "panels": list(_panels()),
    }


def _variables() -> Iterator[dict[str, Any]]:
    yield {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
        "hide": 0,
    }
    for name, label, values in (
        ("namespace", "Namespace", "label_values(emotion_source_up, namespace)"),
        ("source", "Source", 'label_values(emotion_source_up{namespace=~"$namespace"}, source)'),
        (
            "worker",
            "Worker",
            'label_values(emotion_worker_ready{namespace=~"$namespace"}, instance)',
        ),
    ):
        yield {
            "name": name,
            "label": label,
            "type": "query",
            "datasource": _DATASOURCE,
            "definition": values,
            "query": {"query": values, "refId": name},
            "refresh": 2,  # with the time range: workers come and go
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",  # also what has no such label
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
            "hide": 0,
        }


def _alerts() -> dict[str, Any]:
    """When an alert fires, a line through all panels."""
    return {
        "name": "Alerts",
        "datasource": _DATASOURCE,
        "enable": True,
        "expr": 'ALERTS{alertstate="firing", alertname=~"Emotion.*"}',
        "iconColor": "red",
        "titleFormat": "{{alertname}}",
        "textFormat": "{{source}}{{instance}}",
    }


def _panels() -> Iterator[dict[str, Any]]:
    """All rows below each other, each row's panels from left to right."""
    number = y = 0
    for row in ROWS:
        number += 1
        title = f"{row.title} ({row.needs})" if row.needs else row.title
        head = {"x": 0, "y": y, "w": ROW_WIDTH, "h": 1}
        yield {
            "id": number, "type": "row", "title": title, "collapsed": False, "gridPos": head,
            "panels": [],
        }  # fmt: skip
        y, x = y + 1, 0
        height = _height(row)
        for panel in row.panels:
            if x + panel.width > ROW_WIDTH:
                x, y = 0, y + height
            number += 1
            place = {"x": x, "y": y, "w": panel.width, "h": height}
            yield _panel(panel) | {"id": number, "gridPos": place}
            x += panel.width
        y += height


def _height(row: Row) -> int:
    return _STAT_HEIGHT if all(panel.kind == "stat" for panel in row.panels) else _HEIGHT


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _DATASOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": _DATASOURCE,
                "editorMode": "code",
                "expr": query.expr,
                "legendFormat": query.legend or "__auto",
                "instant": panel.is_momentary,
                "range": not panel.is_momentary,
                "format": {"heatmap": "heatmap", "table": "table"}.get(panel.kind, "time_series"),
            }
            for place, query in enumerate(panel.queries)
        ],
        "fieldConfig": {
            "defaults": _defaults(panel),
            "overrides": [
                {
                    "matcher": {"id": "byName", "options": name},
                    "properties": [
                        {"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}
                    ],
                }
                for name, colour in panel.colours
            ],
        },
        "options": _OPTIONS[panel.kind],
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    """How the values of a panel are printed and coloured."""
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.is_bad:
        steps.append({"color": "red", "value": 1})
    elif panel.limit is not None:
        steps.append({"color": "red", "value": panel.limit})
    elif panel.kind == "state-timeline":
        steps = [{"color": "red", "value": None}, {"color": "green", "value": 1}]
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    if panel.kind == "state-timeline":
        defaults["color"] = {"mode": "thresholds"}
    if panel.kind == "timeseries":
        defaults |= {
            "min": 0,
            "color": {"mode": "palette-classic"},
            "custom": {
                "drawStyle": "line",
                "lineWidth": 1,
                "showPoints": "never",
                "fillOpacity": 60 if panel.is_stacked else 8,
                "stacking": {"mode": "normal" if panel.is_stacked else "none", "group": "A"},
                "thresholdsStyle": {"mode": "off" if panel.limit is None else "line"},
            },
        }
        if panel.is_stacked and panel.unit == "percentunit":
            defaults["max"] = 1
    return defaults


_LAST: dict[str, Any] = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_OPTIONS: dict[str, dict[str, Any]] = {
    "bargauge": {
        "displayMode": "basic",
        "orientation": "horizontal",
        "reduceOptions": _LAST,
        "showUnfilled": True,
    },
    "heatmap": {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "reverse": False},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "tooltip": {"mode": "single", "yHistogram": False},
        "yAxis": {"axisPlacement": "left", "reverse": False},
    },
    "stat": {
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": _LAST,
        "textMode": "value",
    },
    "state-timeline": {
        "mergeValues": True,
        "rowHeight": 0.8,
        "showValue": "never",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
        "tooltip": {"mode": "single", "sort": "none"},
    },
    "table": {"showHeader": True, "cellHeight": "sm"},
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
}
