"""Look up known vulnerabilities of the locked packages in a public database: `python -m deployment.audit`."""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_LOCK = Path(__file__).parent.parent / "requirements.txt"
_PATIENCE = 120  # seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 1 for a known vulnerability, 0 for none or if nobody answers."""
    argparse.ArgumentParser(
        prog="python -m deployment.audit", description="Look up known vulnerabilities of the locked packages."
    ).parse_args(arguments)
    return audit(_LOCK)


def audit(lock: Path) -> int:
    """Run pip-audit on a lock; return 1 for a known vulnerability, 0 for none or if the database does not answer."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--progress-spinner=off"]
    try:
        asked = subprocess.run(
            [*command, "--format=json", f"--requirement={lock}"],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        found = json.loads(asked.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        print("not audited: the database of known vulnerabilities does not answer, or pip-audit is not installed")
        return 0
    told = lines(found)
    print("\n".join(told) if told else f"audited {lock.name}: {len(found)} packages, no known vulnerability")
    return 1 if any(package.get("vulns") for package in found) else 0


def lines(packages: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each known vulnerability that pip-audit found, and one for the packages that it does not know."""
    holes = [
        f"{package['name']} {package['version']}: {hole['id']}; "
        + (f"fixed in {', '.join(hole['fix_versions'])}" if hole["fix_versions"] else "not fixed yet")
        for package in packages
        for hole in package.get("vulns", [])
    ]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    return holes + ([f"not audited, the database does not know them: {', '.join(skipped)}"] if skipped else [])


if __name__ == "__main__":
    sys.exit(main())
