"""The flags of every command that makes steady people of faces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from consumer.chain import ChainOptions
from consumer.people.gate import GateOptions
from consumer.people.smooth import SmoothOptions
from consumer.units import Seconds
from contract.affect import COORDINATES, read_coordinates
from contract.errors import UsageError
from contract.process.settings import ProcessSettings


class SteadySettings(ProcessSettings):
    """How faces become people, and how steady they are."""

    smoothing: Seconds = Field(
        0.4,
        description="time constant of the scores, in seconds or as in 400ms: so long after a "
        "sudden change 63 % of it has come through; 0 = raw",
    )
    dwell: Seconds = Field(
        1.0,
        description="an emotion stays at least so long; 0 = the most probable one of the moment",
    )
    hysteresis: float = Field(
        0.1,
        ge=0.0,
        le=1.0,
        description="with --dwell, by how much another emotion must be more probable to take over",
    )
    min_face: int = Field(
        24, ge=0, le=16_384, description="least height in pixels of a face that is a person"
    )
    allow: list[Literal["blurred", "unsure", "printed", "brief", "erratic"]] = Field(
        [],
        description="faces that are people nevertheless: blurred, unsure (the detector doubts "
        "them), printed (on somebody's clothes), brief (there for less than 0.15 s), erratic (an "
        "expression that jumps); several times for several",
    )
    forget: Seconds = Field(1.0, description="who was not seen for so long has left")
    lateness: Seconds = Field(
        0.2, description="how long a frame waits for an earlier one that another worker still has"
    )
    merge: bool = Field(
        False, description="several sources in one line by capture time; waits for the slowest"
    )
    affect: Path | None = Field(
        None,
        description="valence and arousal of emotions, in place of the built-in ones: a JSON file "
        'like {"neutral": [0, 0.1]}',
    )

    @field_validator("affect")
    @classmethod
    def _affect(cls, value: Path | None) -> Path | None:
        if value is not None:
            try:
                read_coordinates(value)
            except UsageError as error:
                raise ValueError(str(error)) from None
        return value

    def chain_options(self) -> ChainOptions:
        """How records become signals. Raises `UsageError` if the table has become unusable."""
        return ChainOptions(
            lateness_s=self.lateness,
            merge=self.merge,
            gate=replace(GateOptions(small_px=float(self.min_face)), **self._allowed()),
            forget_s=self.forget,
            smooth=SmoothOptions(self.smoothing, self.dwell, self.hysteresis, self._coordinates()),
        )

    def _coordinates(self) -> Mapping[str, tuple[float, float]]:
        if self.affect is None:
            return COORDINATES
        try:
            return read_coordinates(self.affect)
        except UsageError as error:
            raise UsageError(f"--affect {error}") from error

    def _allowed(self) -> dict[str, Any]:
        """The rules of the gate that are off."""
        fields = {"printed": "printed_cues", "brief": "brief_s", "erratic": "erratic_per_s"}
        return {fields.get(reason, reason): 0 for reason in self.allow}
