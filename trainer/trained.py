"""What a run's folder knows of the model in it, as its manifest will say it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contract import wire
from contract.crop import CropRule
from contract.errors import UsageError
from trainer.export import Export
from trainer.run_folder import RunFolder


def trained(model: Path) -> Export | None:
    """What can be said of a run's `model.keras`; None for any other file.

    Runs of earlier versions hold less: what they do not say is left out. Raises `UsageError` for a
    run.json that cannot be read.
    """
    folder = RunFolder(model.parent)
    if model.name != folder.model.name or (about := folder.about()) is None:
        return None
    inputs, outcome = about["inputs"], about["outcome"] or {}
    try:
        return Export(
            name=_name(model),
            labels=tuple(inputs["labels"]),
            crop=CropRule.decode(inputs["crop"]) if inputs.get("crop") else None,
            recipe=_recipe(inputs, outcome),
            data={
                "trained_on": known(
                    name=inputs["pack_name"],
                    fingerprint=inputs["pack"],
                    slimmed_from=inputs.get("slimmed_from"),
                    faces=inputs.get("faces"),
                    crops=inputs.get("crops"),
                )
            },
            versions={"trained": outcome.get("versions") or known(keras=inputs["keras"])},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{model.parent / 'run.json'}: expected a run's, got {error!r}") from error


def known(**values: Any) -> dict[str, Any]:
    """Those that are not None."""
    return {key: value for key, value in values.items() if value is not None}


def _recipe(inputs: Mapping[str, Any], outcome: Mapping[str, Any]) -> dict[str, Any]:
    best = outcome.get("best", {})
    return known(
        name=inputs.get("recipe_name"),
        values=tomllib.loads(inputs["recipe"]),
        seed=inputs["seed"],
        teachers=inputs["teachers"] or None,
        epochs=outcome.get("epochs"),
        best_epoch=best.get("epoch"),
    )


def _name(model: Path) -> str:
    """The run's name, where events can carry it: each run's file has the same one."""
    name = model.resolve().parent.name
    try:
        return wire.name(name)
    except ValueError:
        return model.stem
