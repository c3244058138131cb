"""`python -m consumer.view` is `emotion-view`."""

import sys

from contract.process.command import explained_if_missing


def main() -> int:
    """Run the command; returns its exit code."""
    with explained_if_missing("emotion-view", "view"):
        from consumer.view.cli import main as run

        return run()


if __name__ == "__main__":
    sys.exit(main())
