"""The audit as one HTML page that needs nothing else: figures, and faces to look at."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import cv2
import numpy as np

from contract.palette import hex_colour_of
from trainer.pack import SPLITS
from trainer.pack_format import Gray
from trainer.prepare.audit import NONE_AGREED, Audit

CropOf = Callable[[int], Gray]

FACES_A_CLASS = 48
FACES_A_LINE = 12
PAIRS_SHOWN = 24
_GAP_PX = 3

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 66rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0 } h2 { font-size: 1.1rem; margin: 2.2rem 0 .5rem }
table { border-collapse: collapse } td, th { padding: .2rem .9rem .2rem 0; text-align: left;
  border-bottom: 1px solid var(--line); vertical-align: top }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
.tiles { display: flex; flex-wrap: wrap; gap: .7rem; margin: 1rem 0 }
.tile { background: var(--soft); border-radius: .5rem; padding: .5rem .9rem }
.tile b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums }
.bar { display: inline-block; height: .8rem; border-radius: .2rem; vertical-align: middle }
.warn { background: #e0a00033; border-left: .3rem solid #e0a000; padding: .4rem .8rem }
img { image-rendering: auto; max-width: 100%; border-radius: .3rem }
small, .dim { opacity: .7 } code { font-size: .85em; overflow-wrap: anywhere }
"""


def sheet(
    audit: Audit, warnings: Sequence[str], rows: Mapping[str, Sequence[int]], crop_of: CropOf
) -> str:
    """The page.

    rows      a class -> the rows of its crops; some of them are shown
    crop_of   the crop of a row
    """
    facts = audit.facts
    parts = [
        f"<h1>{escape(str(facts['name']))}</h1>",
        f"<small>{escape(str(facts['data']))}, read as {escape(str(facts['reader']))}, faces: "
        f"{escape(str(facts['faces']))}, crops of {facts['side_px']} px, split: "
        f"{escape(str(facts['split by']))}</small>",
        *(f"<p class=warn>{escape(warning)}</p>" for warning in warnings),
        _tiles(facts["images"]),
        _classes(facts["classes"]),
    ]
    parts += [
        f"<h2>{title.capitalize()}</h2>{_table(facts[title])}"
        for title in ("rejected", "detection", "agreement", "persons", "people")
        if facts.get(title)
    ]
    parts.append(_duplicates(audit, crop_of))
    parts += [_faces(label, rows[label], crop_of) for label in rows if rows[label]]
    made = {
        "fingerprint": facts["fingerprint"],
        "options": facts["options"],
        "versions": facts["versions"],
    }
    parts.append(f"<h2>How it was made</h2>{_table(made)}")
    body = "\n".join(parts)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width">'
        f"<title>Audit of {escape(str(facts['name']))}</title><style>{_STYLE}</style>"
        f"<body>{body}</body></html>\n"
    )


def contact_sheet(crops: Sequence[Gray], columns: int = FACES_A_LINE) -> Gray:
    """Gray crops (side, side) in lines of `columns`, as one gray picture."""
    side = crops[0].shape[0]
    cell = side + _GAP_PX
    columns = min(columns, len(crops))
    lines = -(-len(crops) // columns)
    picture = np.full((lines * cell - _GAP_PX, columns * cell - _GAP_PX), 128, np.uint8)
    for place, crop in enumerate(crops):
        top, left = place // columns * cell, place % columns * cell
        picture[top : top + side, left : left + side] = crop
    return picture


def spread(rows: Sequence[int], count: int) -> list[int]:
    """At most `count` of `rows`, evenly spread over them."""
    chosen = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)
    return [rows[place] for place in chosen.tolist()]


def _tiles(images: Mapping[str, int]) -> str:
    tiles = "".join(
        f"<div class=tile><b>{n:,}</b>{escape(what)}</div>" for what, n in images.items()
    )
    return f"<div class=tiles>{tiles}</div>"


def _classes(classes: Mapping[str, Mapping[str, int]]) -> str:
    total = {label: sum(counts.values()) for label, counts in classes.items()}
    most, every = max(total.values()) or 1, sum(total.values()) or 1
    head = "".join(f"<th class=n>{name}</th>" for name in SPLITS)
    lines = []
    for label, counts in classes.items():
        cells = "".join(f"<td class=n>{counts[name]:,}</td>" for name in SPLITS)
        colour = "#8886" if label == NONE_AGREED else hex_colour_of(label)
        width = 16 * total[label] / most
        bar = f'<span class=bar style="width:{width:.2f}rem;background:{colour}"></span>'
        lines.append(
            f"<tr><td>{escape(label)}</td>{cells}<td class=n>{total[label]:,}</td>"
            f"<td class=n>{total[label] / every:.1%}</td><td>{bar}</td></tr>"
        )
    return (
        f"<h2>Classes</h2><table><tr><th>label</th>{head}<th class=n>all</th><th></th><th></th>"
        f"</tr>{''.join(lines)}</table>"
    )


def _table(facts: Any) -> str:
    """Plain data as a table in a table; a list as its items."""
    if isinstance(facts, Mapping):
        lines = "".join(
            f"<tr><td>{escape(str(key))}</td><td>{_table(value)}</td></tr>"
            for key, value in facts.items()
        )
        return f"<table>{lines}</table>"
    if isinstance(facts, list | tuple):
        return "<br>".join(f"<code>{_table(item)}</code>" for item in facts)
    if isinstance(facts, float):
        return f"{facts:.4g}"
    if isinstance(facts, int) and not isinstance(facts, bool):
        return f"{facts:,}"
    return escape(str(facts))


def _duplicates(audit: Audit, crop_of: CropOf) -> str:
    facts = {key: value for key, value in audit.facts["duplicates"].items() if key != "examples"}
    text = f"<h2>Duplicates</h2>{_table(facts)}"
    if not audit.across:
        return text
    shown = [audit.across[i] for i in spread(range(len(audit.across)), PAIRS_SHOWN)]
    crops = [crop_of(row) for pair in shown for row in (pair.first, pair.second)]
    title = "<p>Two of each group that is in different splits, side by side:</p>"
    return f"{text}{title}{_picture(contact_sheet(crops))}"


def _faces(label: str, rows: Sequence[int], crop_of: CropOf) -> str:
    crops = [crop_of(row) for row in spread(rows, FACES_A_CLASS)]
    return f"<h2>{escape(label)}</h2>{_picture(contact_sheet(crops))}"


def _picture(picture: Gray) -> str:
    done, data = cv2.imencode(".png", picture)
    if not done:
        raise ValueError(f"OpenCV {cv2.__version__} cannot write PNG")
    text = base64.b64encode(data.tobytes()).decode()
    return f'<img alt="faces" src="data:image/png;base64,{text}">'
