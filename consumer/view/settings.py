"""The flags and environment of `emotion-view`: the only place that reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from consumer.steady_settings import SteadySettings
from consumer.view.token import check_token
from contract.process.secret_file import FileOf
from contract.process.settings import RoleSettings


class ViewSettings(SteadySettings, RoleSettings):
    """Show on a web page what a running system sees: pictures, people, their emotions, and how the
    system is doing.

    Examples:
      emotion-view                        then open http://127.0.0.1:8080/
      emotion-view --open                 opens it
      emotion-view --host 0.0.0.0         for other machines and phones; demands a token, which is
                                          in the address it prints
      emotion-view --redis redis://10.0.0.5:6379 --prefix studio

    The system need not run yet: the page waits for it. Connections are not encrypted: beyond a
    network you trust, put a proxy with TLS before it.

    Every flag can be set in the environment: --token is EMOTION_TOKEN, and better there or in a
    --token-file than on the command line.
    """

    host: str = Field(
        "127.0.0.1", description="address to serve on; 0.0.0.0 = every interface, with a token"
    )
    port: int = Field(8080, ge=0, le=65535, description="port to serve on; 0 = a free one")
    fps: float = Field(
        4.0,
        gt=0,
        le=30,
        allow_inf_nan=False,
        description="pictures of each source a second, at most",
    )
    token: str | None = Field(
        None,
        repr=False,
        description="what a browser must know to see the page; by default made up when --host is "
        "not this machine alone, else none",
    )
    token_file: Annotated[Path | None, FileOf("token")] = Field(
        None, description="read it from this file, such as a mounted secret"
    )
    open: bool = Field(False, description="open the page in the browser")

    @field_validator("token")
    @classmethod
    def _token(cls, value: str | None) -> str | None:
        if value is not None:
            check_token(value)
        return value
