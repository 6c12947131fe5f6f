"""Write a lock for pip from what uv resolved: `python -m deployment.lock pylock.toml requirements.txt`, in `make lock`.

uv gives the hashes of all files of a release. This leaves out those that no supported Python on a supported platform
installs: four fifths of the file.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

PYTHONS = (11, 12, 13, 14)  # minor versions of Python 3
# on Windows, macOS on Intel and Linux without glibc, use the image
PLATFORMS = ("manylinux.*_x86_64", "manylinux.*_aarch64", "macosx_.*_(arm64|universal2)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m deployment.lock", description="Write a lock for pip, with hashes.")
    parser.add_argument("resolved", type=Path, help="what uv resolved, a pylock.toml")
    parser.add_argument("lock", type=Path, help="the file to write")
    given = parser.parse_args(arguments)
    given.lock.write_text("".join(entries(tomllib.loads(given.resolved.read_text()))))
    return 0


def entries(resolved: Mapping[str, Any]) -> Iterator[str]:
    """Yield each package's entry: its version, where it is needed, and the hashes of what may be installed."""
    for package in resolved["packages"]:
        if not (kept := files(package)):
            continue  # it is for Windows
        marker = f" ; {package['marker']}" if "marker" in package else ""
        hashes = sorted(file["hashes"]["sha256"] for file in kept)
        yield " \\\n    ".join([f"{package['name']}=={package['version']}{marker}", *(f"--hash=sha256:{h}" for h in hashes)])
        yield "\n"


def files(package: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the wheels that may be installed, and the source if some supported platform has no wheel."""
    wheels = [wheel for wheel in package.get("wheels", []) if is_wanted(file_name(wheel))]
    names = [file_name(wheel) for wheel in wheels]
    complete = all(any(is_for(name, minor, platform) for name in names) for minor in PYTHONS for platform in PLATFORMS)
    return wheels if complete else [*wheels, *([package["sdist"]] if "sdist" in package else [])]


def file_name(file: Mapping[str, Any]) -> str:
    """Return the name of a release's file."""
    return str(file.get("name") or file["url"].rpartition("/")[2].partition("#")[0])


def is_wanted(name: str) -> bool:
    """Tell whether a supported Python installs this wheel on a supported platform."""
    return any(is_for(name, minor, platform) for minor in PYTHONS for platform in PLATFORMS)


def is_for(name: str, minor: int, platform: str) -> bool:
    """Tell whether CPython 3.`minor` installs this wheel on a platform."""
    pythons, abi, platforms = (tag.split(".") for tag in name.removesuffix(".whl").rsplit("-", 3)[1:])
    if not any(re.fullmatch(f"any|{platform}", one) for one in platforms):
        return False
    if abi == ["none"] or abi == ["abi3"]:
        kind = "py" if abi == ["none"] else "cp"
        return any(re.fullmatch(rf"{kind}3\d*", one) and int(one[3:] or 0) <= minor for one in pythons)
    return abi == [f"cp3{minor}"]


if __name__ == "__main__":
    sys.exit(main())
