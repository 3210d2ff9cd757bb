"""CPU time of starting stemdask, as a multiple of that of an interpreter that does nothing, side by side."""

from __future__ import annotations

import os
import subprocess
import sys

STARTS = {
    "import": ("-c", "import stemdask"),
    "help": ("-m", "stemdask", "--help"),
    "open_results": ("-c", "import stemdask; stemdask.open_results"),
    "run": ("-c", "import stemdask; stemdask.run"),
}


def cpu_seconds(*arguments: str) -> float:
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{arguments} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def ratios(rounds: int = 7) -> dict[str, float]:
    """Return the least CPU time of each start over the least of ``pass``; they take turns."""
    spent = {name: [] for name in ("pass", *STARTS)}
    for _ in range(rounds):
        spent["pass"].append(cpu_seconds("-c", "pass"))
        for name, arguments in STARTS.items():
            spent[name].append(cpu_seconds(*arguments))
    return {f"startup/{name}": min(spent[name]) / min(spent["pass"]) for name in STARTS}


if __name__ == "__main__":
    for name, ratio in ratios().items():
        print(f"{name:24s} {ratio:6.1f}")
