"""Look up known vulnerabilities of what is installed; where there is no data on them, say why and go on."""

from __future__ import annotations

import json
import subprocess
import sys


def main() -> int:
    """Return 1 where something installed is known to be vulnerable."""
    command = [sys.executable, "-m", "pip_audit", "--skip-editable", "--progress-spinner=off", "--format=json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        print(f"skipped: no data on vulnerabilities ({reason})")
        return 0
    found = [
        (package["name"], package["version"], one["id"]) for package in packages for one in package.get("vulns", ())
    ]
    for name, version, number in found:
        print(f"{name} {version}: {number}")
    print(f"{len(packages)} packages looked up, {len(found)} known vulnerabilities")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
