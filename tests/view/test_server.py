"""The viewer listens on the loopback interface alone, and answers those who know its address."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
import pytest
from looking import serving

pytest.importorskip("panel", reason="panel is not installed")
pytestmark = [pytest.mark.long, pytest.mark.processes]


@pytest.fixture(scope="module")
def url(atoms: Path) -> Iterator[str]:
    with serving(atoms) as url:
        yield url


def test_it_listens_on_loopback_alone(url: str):
    port = int(url.split(":")[2].split("/")[0])
    found = [one for one in psutil.net_connections("inet") if one.laddr.port == port and one.status == "LISTEN"]
    assert {one.laddr.ip for one in found} == {"127.0.0.1"}


def test_the_address_answers(url: str):
    with urlopen(url) as answer:
        assert b"stemdask" in answer.read()


@pytest.mark.parametrize(
    "path", ["", "index.html", "wrong", "wrong/autoload.js", "wrong/metadata", "rest/session_info"]
)
def test_another_address_is_refused_and_does_not_tell_the_secret(url: str, path: str):
    base, secret = url.rsplit("/", 1)
    with pytest.raises(HTTPError) as refused:
        urlopen(f"{base}/{path}")
    assert refused.value.code == 404
    assert secret not in refused.value.read().decode()


@pytest.mark.parametrize(
    ("place", "origin", "code"),
    [
        ("wrong", None, 404),
        (None, "http://example.org", 403),
        (None, "http://127.0.0.1:1", 403),
    ],
)
def test_a_socket_is_refused_to_other_pages(url: str, place: str | None, origin: str | None, code: int):
    base, secret = url.rsplit("/", 1)
    host, port = base.removeprefix("http://").split(":")
    lines = [
        f"GET /{place or secret}/ws HTTP/1.1",
        f"Host: {host}:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        f"Origin: {origin or base}",
    ]
    with socket.create_connection((host, int(port)), 60) as plain:
        plain.sendall("\r\n".join([*lines, "", ""]).encode())
        assert plain.recv(12).split()[1] == str(code).encode()


def test_a_port_that_is_taken_is_said(url: str, atoms: Path):
    port = url.split(":")[2].split("/")[0]
    command = [sys.executable, "-m", "stemdask", "view", str(atoms), "--no-browser", "--port", port]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "the viewer can't listen on this port" in done.stderr
