"""Bond-orientational order by pyboo, the package of the published tutorial, as a reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

import numpy as np
from scipy import special

from stemdask.errors import ConfigError
from stemdask.kernels.arrays import Array, Floats, Integers32

#: Its build imports scipy as it was up to 1.16; afterwards any scipy will do.
INSTALL = "pip install 'scipy<1.17' setuptools wheel && pip install --no-build-isolation pyboo==1.0.0"
REMEDY = f"Use engine: native with convention: pyboo, which gives the same numbers; or install it: {INSTALL}"


def load() -> ModuleType:
    """Import pyboo; raise ConfigError with the way to install it where that fails."""
    try:
        with _lent_spherical_harmonics():
            return import_module("boo")
    except ImportError as error:
        raise ConfigError(
            f"pyboo can't be imported ({error})", where="analyses.bond_order.engine", value="pyboo", remedy=REMEDY
        ) from error


@contextmanager
def _lent_spherical_harmonics() -> Iterator[None]:
    """Lend scipy the name that pyboo imports, which it had up to 1.16 and which had its arguments in another order."""
    if hasattr(special, "sph_harm"):
        yield
        return
    special.sph_harm = lambda m, degree, azimuth, polar: special.sph_harm_y(degree, m, polar, azimuth)
    try:
        yield
    finally:
        del special.sph_harm


def bond_order(
    positions: Floats,
    bonds: Integers32,
    degrees: Sequence[int],
    *,
    normalised: bool,
    threshold: float,
    min_fraction: float,
) -> dict[str, Array]:
    """Return what pyboo makes of an isolated particle and its bonds.

    Parameters
    ----------
    positions
        (n, 3).
    bonds
        (m, 2), pairs of atoms, each once.
    degrees
        Even, at most 10.
    normalised
        Whether w is divided by (Σ|q_lm|²)^1.5, which pyboo itself doesn't do.
    threshold, min_fraction
        An atom is crystalline if more than this fraction of its bonds have an s6 above the threshold.

    Returns
    -------
    dict
        `q`, `q_avg`, `w`, `w_avg`, each (degrees, n); `s6` (m,); `crystallinity` and `crystalline`, each (n,). An atom
        without bonds has 0 everywhere.
    """
    boo = load()
    n = len(positions)
    found: dict[str, Array] = {name: np.zeros((len(degrees), n)) for name in ("q", "q_avg", "w", "w_avg")}
    found |= {"s6": np.zeros(0), "crystallinity": np.zeros(n), "crystalline": np.zeros(n, np.int8)}
    if not len(bonds):
        return found
    inside = np.ones(n, bool)
    for k, degree in enumerate(degrees):
        own = boo.bonds2qlm(positions, bonds, l=degree)
        averaged, _ = boo.coarsegrain_qlm(own, bonds, inside)
        for suffix, coefficients in (("", own), ("_avg", averaged)):
            q, w = boo.ql(coefficients), boo.wl(coefficients)
            if normalised:
                length = q * np.sqrt((2 * degree + 1) / (4 * np.pi))
                w = np.divide(w, length**3, out=np.zeros(n), where=length > 0)
            found[f"q{suffix}"][k], found[f"w{suffix}"][k] = q, w
    own = boo.bonds2qlm(positions, bonds, l=6)
    q = boo.ql(own)
    counts = np.bincount(np.ravel(bonds), minlength=n)
    found["s6"] = boo.product(own[bonds[:, 0]], own[bonds[:, 1]]) / (q[bonds[:, 0]] * q[bonds[:, 1]])
    found["crystallinity"] = boo.crystallinity(own, bonds)
    found["crystalline"] = boo.x_particles(
        own, bonds, value_thr=threshold, nb_thr=np.floor(min_fraction * counts) + 1
    ).astype(np.int8)
    return found
