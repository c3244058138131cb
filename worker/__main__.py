"""`python -m worker` is `emotion-worker`."""

import sys

from contract.process.command import explained_if_missing


def main() -> int:
    """Run the command; returns its exit code."""
    with explained_if_missing("emotion-worker", "worker"):
        from worker.cli import main as run

        return run()


if __name__ == "__main__":
    sys.exit(main())
