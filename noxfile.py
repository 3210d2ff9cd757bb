"""The checks, one command each: ``nox -s quick`` while working, ``nox -s tests slow`` for everything."""

from __future__ import annotations

import hashlib
from pathlib import Path

import nox

nox.options.sessions = ["quick"]
nox.options.reuse_existing_virtualenvs = True

# Two workers with as many threads as cores each would wait for one another.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
QUICK = "not long and not slow and not slurm and not processes"
WITH_OTHERS = "dev,peers,schedulers,trajectories"
PLAYWRIGHT = "playwright>=1.50"  # drives a Chromium that is there; none is downloaded


def install(session: nox.Session, *arguments: str) -> None:
    """Install once, and again when pyproject.toml or what is asked for has changed; never into ``--no-venv``."""
    if not session.virtualenv.is_sandboxed:
        return
    wanted = hashlib.sha256(Path("pyproject.toml").read_bytes() + repr(arguments).encode()).hexdigest()
    stamp = Path(session.virtualenv.location) / "installed"
    if not stamp.exists() or stamp.read_text() != wanted:
        session.install(*arguments)
        stamp.write_text(wanted)


@nox.session
def quick(session: nox.Session) -> None:
    """Check format, lint, spelling, types, and the tests that start no process: the inner loop."""
    install(session, "-e", ".[dev]")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("codespell")
    session.run("mypy")
    session.run("pytest", "-q", "-n", "logical", "--dist", "loadfile", "-m", QUICK, *session.posargs, env=ONE_THREAD)


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests but the slow ones, as the README says it."""
    install(session, "-e", ".[dev]")
    session.run("pytest", "-n", "logical", "--dist", "loadfile", *session.posargs)


@nox.session
def claims(session: nox.Session) -> None:
    """Test what the README claims, and the agreement with other programs."""
    install(session, "-e", f".[{WITH_OTHERS}]")
    session.run("pytest", "-m", "claims", *session.posargs)


@nox.session
def slow(session: nox.Session) -> None:
    """Run all slow tests, those of pages in a browser too, and the agreement with other programs."""
    install(session, "-e", f".[{WITH_OTHERS},view]", PLAYWRIGHT)
    session.run("pytest", "-m", "slow or claims or golden", *session.posargs)


@nox.session
def reliability(session: nox.Session) -> None:
    """Run every test of faults, long campaigns and all, and write docs/reliability.md from what they tell."""
    install(session, "-e", f".[{WITH_OTHERS}]")
    results = Path(session.create_tmp()) / "results.xml"
    rooms = ["tests/faults", "tests/fuzz", "tests/fence", "tests/store", "tests/slurm"]
    session.run("pytest", "-m", "slow or not slow", f"--junitxml={results}", *rooms, *session.posargs)
    session.run("python", "docs/make_reliability.py", str(results))


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure the part of the lines that the quick tests run, which must not fall."""
    install(session, "-e", ".[dev]")
    session.run("pytest", "-q", "-n", "logical", "--cov", "-m", QUICK, *session.posargs, env=ONE_THREAD)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site, run its tutorials and its gallery; a warning is an error."""
    install(session, "-e", ".[docs]")
    session.run("sphinx-build", "-W", "--keep-going", "docs", "build/docs", *session.posargs, env=ONE_THREAD)


@nox.session(venv_backend="uv")
def lowest(session: nox.Session) -> None:
    """Run the quick tests with the lowest versions that pyproject.toml allows."""
    install(session, "--resolution", "lowest-direct", "-e", ".[test]")
    session.run("pytest", "-m", QUICK, *session.posargs)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Compare ratios of CPU times with those kept in benchmarks/history.json."""
    install(session, "-e", ".[dev]")
    session.run("python", "benchmarks/guard.py", *session.posargs, env=ONE_THREAD)
