"""The worker's flags as the worker reads them."""

from __future__ import annotations

import pytest

from contract.process.settings import read_settings
from worker.settings import WorkerSettings


@pytest.mark.parametrize(
    ("flags", "decoders"),
    [
        (["--threads", "3"], 3),  # a share of the cores: other workers decode on the others
        (["--threads", "40"], 16),
        (["--threads", "3", "--decode-threads", "20"], 20),
    ],
)
def test_decoders_keep_to_the_workers_share_of_the_cores(flags: list[str], decoders: int) -> None:
    assert read_settings(WorkerSettings, "emotion-worker", flags).decoders == decoders
