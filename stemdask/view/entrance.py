"""The ways into the viewer, which say what is missing where Panel isn't installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemdask.errors import StoreError

if TYPE_CHECKING:
    import xarray as xr


def serve(store: Path, *, port: int = 0, browser: bool = True, watch: bool = False) -> None:
    """Serve the viewer of a store on the loopback interface until Ctrl-C.

    Parameters
    ----------
    store
        The zarr store.
    port
        To listen on; 0 is any free one.
    browser
        Open the page in the browser of this machine.
    watch
        Follow the run, and show its newest frame.

    Raises
    ------
    StoreError
        It isn't a store of stemdask, or the viewer isn't installed, or the port is taken.
    """
    _check_installed()
    from stemdask.view.server import serve

    serve(store, port=port, browser=browser, watch=watch)


def in_notebook(tree: xr.DataTree) -> Any:
    """Return the viewer of an opened store as a Panel object, which a notebook displays.

    Raises
    ------
    StoreError
        The tree wasn't opened from a store, or the viewer isn't installed.
    """
    _check_installed()
    source = tree.encoding.get("source")
    if source is None:
        raise StoreError(
            "the viewer needs a store, and this tree was not read from one", remedy="Open one with open_results"
        )
    from stemdask.view.page import in_notebook

    return in_notebook(Path(source))


def _check_installed() -> None:
    if find_spec("panel") is None:
        raise StoreError("the viewer needs panel, which isn't installed", remedy="Run: pip install 'stemdask[view]'")
