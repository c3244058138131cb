"""The flags and environment of `emotion-worker check`: a worker's own, and how to print."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from worker.settings import WorkerSettings


class CheckSettings(WorkerSettings):
    """Say whether a worker with the same flags and variables would work here: Redis, the rights of
    its user, the system's partitions, the model, the engine, GPUs; then analyse a picture and
    measure how fast. Takes no frame from anyone and leaves nothing behind.

    Examples:
      emotion-worker check
      emotion-worker check --redis redis://10.0.0.5:6379 --model my_model.keras
      emotion-worker check --json | jq '.[] | select(.status != "ok")'

    The exit code is 0 where nothing failed, warnings or not; else 1, or 2 where something that was
    given cannot be used, wrong passwords and missing rights included.
    """

    # Without "all", a field with an alias would be read from the variable JSON.
    model_config = SettingsConfigDict(env_prefix_target="all")

    model: Path | None = Field(  # what is wrong with it is a row of the table
        None, description="classifier to look at; the shipped FER+ model by default"
    )
    as_json: bool = Field(
        False, alias="json", description="print JSON, a list of what was looked at"
    )
