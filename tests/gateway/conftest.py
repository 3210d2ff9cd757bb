from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "toys"))

from fixtures import frames as frames
from fixtures import toys as toys
from fixtures import undisturbed as undisturbed
