"""Print the licence of each installed package, as its authors state it, one a line.

    python deploy/images/licences.py > LICENCES.txt

The licences' texts are beside the packages, in their .dist-info folders.
"""

from __future__ import annotations

from importlib.metadata import Distribution, distributions


def stated(package: Distribution) -> str:
    """The SPDX expression, else the classifiers, else the first line of the free text."""
    fields = package.metadata
    if expression := fields.get("License-Expression"):
        return expression
    prefix = "License :: "
    classifiers = [
        text.removeprefix(prefix).removeprefix("OSI Approved :: ")
        for text in fields.get_all("Classifier", [])
        if text.startswith(prefix) and text != "License :: OSI Approved"
    ]
    if classifiers:
        return ", ".join(classifiers)
    return next(iter((fields.get("License") or "").strip().splitlines()), "") or "not stated"


def main() -> None:
    lines = {
        f"{package.metadata['Name']} {package.version}: {stated(package)}"
        for package in distributions()
    }
    print("\n".join(sorted(lines, key=str.lower)))


if __name__ == "__main__":
    main()
