"""Pages in a headless browser: what is said of them there, and what axe-core objects to."""

from __future__ import annotations

import html
import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AXE = importlib.util.find_spec("axe_core_python")

needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium is installed")
needs_axe = pytest.mark.skipif(
    BROWSER is None or AXE is None, reason="no chromium, or no axe-core-python, is installed"
)


def probed(page: Path, scripts: str, probe: Path) -> Path:
    """Write a page whose policy allows these scripts, which run last."""
    text = re.sub(r"script-src '[^']*'", "script-src 'unsafe-inline'", page.read_text())
    probe.write_text(text.replace("</body>", f"{scripts}</body>"))
    return probe


def opened(page: Path, folder: Path, *, width: int = 1200, seconds: float = 0.0) -> tuple[str, str]:
    """Open a page and return its title, which scripts may set within some seconds, and what the browser logs."""
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]
    command += [f"--virtual-time-budget={int(1000 * seconds)}"] if seconds else []
    command += [f"--window-size={width},900", f"--user-data-dir={folder}/profile", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert found is not None
    return html.unescape(found[1]), done.stderr


def axe_core() -> str:
    """Return the script of axe-core."""
    assert AXE is not None
    assert AXE.submodule_search_locations is not None
    return (Path(AXE.submodule_search_locations[0]) / "axe.min.js").read_text()


#: What gives each rule of axe-core that a page breaks, with its first culprit, once it is there.
OBJECTIONS = "axe.run().then((found) => found.violations.map((one) => `${one.id}: ${one.nodes[0].html}`.slice(0, 300)))"


def violations(page: Path, folder: Path) -> list[str]:
    """Return what axe-core objects to in a page: each rule with its first culprit."""
    ask = f"{OBJECTIONS}.then((said) => {{ document.title = JSON.stringify(said); }});"
    probe = probed(page, f"<script>{axe_core()}</script><script>{ask}</script>", folder / "axe.html")
    title, _ = opened(probe, folder, seconds=60.0)
    found = json.loads(title)
    assert isinstance(found, list)
    return found
