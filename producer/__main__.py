"""`python -m producer` is `emotion-producer`."""

import sys

from contract.process.command import explained_if_missing


def main() -> int:
    """Run the command; returns its exit code."""
    with explained_if_missing("emotion-producer", "producer"):
        from producer.cli import main as run

        return run()


if __name__ == "__main__":
    sys.exit(main())
