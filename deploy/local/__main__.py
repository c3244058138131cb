"""`python -m deploy.local` is `emotion-up`."""

import sys

from contract.process.command import explained_if_missing


def main() -> int:
    """Run the command; returns its exit code."""
    with explained_if_missing("emotion-up", "up"):
        from deploy.local.cli import main as run

        return run()


if __name__ == "__main__":
    sys.exit(main())
