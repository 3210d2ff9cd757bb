"""The server of the viewer: on the loopback interface alone, for those who know its address."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
import tempfile
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import panel as pn

from stemdask.errors import StoreError
from stemdask.view.page import Page
from stemdask.view.reading import Frames

ADDRESS = "127.0.0.1"
#: Random bytes in the address of the page.
_SECRET = 32
_PAGE = "{% extends base %}{% block contents %}<main>{{ embed(roots.layout) }}</main>{% endblock %}"


def serve(store: Path, *, port: int, browser: bool, watch: bool) -> None:
    """Serve the viewer of a store until Ctrl-C; see :func:`stemdask.view.entrance.serve`."""
    Frames(store)  # what is wrong with the store is said now, and not by an empty page
    port = _free(port)
    secret = secrets.token_urlsafe(_SECRET)
    server = pn.io.server.get_server(
        {f"/{secret}": lambda: _whole(Page(Frames(store), watch=watch).layout())},
        address=ADDRESS,
        port=port,
        websocket_origin=[f"{ADDRESS}:{port}", f"localhost:{port}"],
        title=f"{store.name}: stemdask",
        use_index=False,  # it would tell the secret
    )
    url = f"http://{ADDRESS}:{port}/{secret}"
    print(f"viewer: {url}")
    print(f"To open it on another machine, first run there: {_tunnel(port)}")
    print("Ctrl-C ends the viewer.", flush=True)
    with _opened(url) if browser and _has_display() else nullcontext():
        server.run_until_shutdown()


def _whole(layout: pn.Column) -> pn.Template:
    """Return a page that is nothing but a layout, as its main part for those who hear pages."""
    page = pn.Template(_PAGE)
    page.add_panel("layout", layout)
    return page


def _free(port: int) -> int:
    """Return a port that can be listened on: the one that is asked for, or for 0 any that is free."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((ADDRESS, port))
        except (OSError, OverflowError) as error:
            said = error.strerror if isinstance(error, OSError) else "no such port"
            raise StoreError(
                f"the viewer can't listen on this port: {said}", where="--port", value=port, remedy="Leave --port out"
            ) from None
        return int(tried.getsockname()[1])


def _tunnel(port: int) -> str:
    """Return the command that makes the port of this machine one of another machine."""
    return f"ssh -L {port}:{ADDRESS}:{port} {getpass.getuser()}@{socket.gethostname()}"


def _has_display() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextmanager
def _opened(url: str) -> Iterator[None]:
    """Open a page in the browser by a file that only its owner reads: everybody sees the arguments of a process."""
    with tempfile.NamedTemporaryFile("w", suffix=".html", prefix="stemdask-view-") as file:
        file.write(f'<!doctype html><meta http-equiv="refresh" content="0; url={url}"><title>stemdask</title>')
        file.flush()
        webbrowser.open(Path(file.name).as_uri())
        yield
