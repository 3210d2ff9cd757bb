"""Where the numbers of a run come from: its input, its versions, its machines, its config."""

from __future__ import annotations

import importlib.metadata

import numpy as np
import xarray as xr

from stemdask.errors import StemdaskError
from stemdask.results.shows import Part
from stemdask.results.views import Results

#: What stemdask stands on, whose versions a reader wants to know.
_PACKAGES = ("numpy", "scipy", "numba", "scikit-learn", "scikit-image", "xarray", "zarr", "rosettasciio", "ase")
#: Files and hosts that are named; of more, their number.
_NAMED = 12


def provenance(results: Results, tree: xr.DataTree) -> Part:
    """Return the part of the page."""
    frames = results.whole("frames")
    seconds, n = float(np.nansum(frames["seconds"].values)), frames.sizes["frame"]
    part = Part("Provenance")
    part.rows = [
        ("state", str(tree.attrs["state"])),
        ("created", str(tree.attrs["created"])),
        ("input", _several(dict.fromkeys(map(str, frames["file"].values)))),
        ("BLAKE2b hash of what was read of the frames", _several(_hashes(frames))),
        *_described(results),
        ("fingerprint of input and config", str(tree.attrs["fingerprint"])),
        ("time of analysis", f"{seconds:.1f} s, {seconds / max(n, 1):.3g} s per frame"),
        ("analysed on", _several(dict.fromkeys(host for host in map(str, frames["worker"].values) if host))),
        ("version of stemdask that analysed", str(tree.attrs["stemdask_version"])),
        ("versions where this page was written", ", ".join(map(_version, ("stemdask", *_PACKAGES)))),
    ]
    written = str(tree.attrs.get("config_as_written", ""))
    part.texts = [("Config as written", written)] if written else []
    part.texts.append(("Config as resolved, which repeats the run", str(tree.attrs["config"])))
    return part


def _described(results: Results) -> list[tuple[str, str]]:
    """Return what the input says of itself, where it can still be read, and where the pixel size came from."""
    source = results.source()
    try:
        described = source.describe() if source is not None else {}
    except (StemdaskError, OSError):
        described = {}
    rows = [
        (f"input: {key}", str(value)) for key, value in described.items() if key not in ("warnings", "frames") and value
    ]
    if results.kind == "images":
        given = results.config()["input"].get("pixel_size") is not None
        stated = described.get("pixel size")
        unread = {None: "the file, if it states one", "not known": "nothing: lengths are in pixels"}
        of_file = unread.get(stated, "the file")
        rows.append(("pixel size comes from", "the config" if given else of_file))
    return rows


def _hashes(frames: xr.Dataset) -> dict[str, None]:
    if "input_hash" not in frames:
        return {}
    return dict.fromkeys(f"{int(value):016x}" for value in frames["input_hash"].values if value)


def _several(named: dict[str, None]) -> str:
    shown = list(named)[:_NAMED]
    more = f" and {len(named) - len(shown)} more" if len(named) > len(shown) else ""
    return ", ".join(shown) + more if shown else "not known"


def _version(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{package} not installed"
