"""The atoms of a frame as ASE has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from stemdask.sources.atoms.elements import is_anonymous

_PLACES = ("x", "y", "z")


def structure(atoms: xr.Dataset) -> Any:
    """Return an ``ase.Atoms`` with the properties of the atoms as its arrays, and frame and time in its ``info``.

    Parameters
    ----------
    atoms
        ``/atoms`` of a frame without padding: `x`, `y`, `z` [angstrom] and `element` (atom), and any others. An atom
        whose element isn't known becomes X, number 0.
    """
    import ase

    elements = atoms["element"].to_numpy()
    found = ase.Atoms(
        numbers=[0 if is_anonymous(number) else int(number) for number in elements],
        positions=np.stack([atoms[axis].to_numpy() for axis in _PLACES], axis=1),
        info={name: atoms[name].item() for name in ("frame", "time") if name in atoms.coords},
    )
    for name, variable in atoms.data_vars.items():
        if variable.dims == ("atom",) and name not in (*_PLACES, "element"):
            found.arrays[str(name)] = variable.to_numpy()
    return found
