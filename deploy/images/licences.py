"""Print the licence of each installed package, as its authors state it, one a line.

    python deploy/images/licences.py > LICENCES.txt

The licences' texts are beside the packages, in their .dist-info folders.
"""

from __future__ import annotations

from importlib.metadata import Distribution, distributions


def stated(package: Distribution) -> str:
    """The SPDX expression, else the classifiers, else the first line of the free text."""

    def field(name: str) -> list[str]:
        return [text.strip() for text in package.metadata.get_all(name, []) if text.strip()]

    if expressions := field("License-Expression"):
        return expressions[0]
    classifiers = [text for text in field("Classifier") if text.startswith("License :: ")]
    if kinds := [text.rpartition(" :: ")[2] for text in classifiers if text.count(" :: ") > 1]:
        return ", ".join(kinds)
    return next((text.splitlines()[0] for text in field("License")), "not stated")


def main() -> None:
    lines = {
        f"{package.metadata['Name']} {package.version}: {stated(package)}"
        for package in distributions()
    }
    print("\n".join(sorted(lines, key=str.lower)))


if __name__ == "__main__":
    main()
