"""
Structure types and strain of a nanocrystal
===========================================

Template matching names the lattice around each atom; the lattice fit gives the distance of each atom from its site.
"""

import stemdask as sd

store = sd.run(
    {
        "input": {"path": "stemdask-demo/atoms.xyz", "frames": "0:4"},
        "output": "stemdask-demo/structure.zarr",
        "analyses": {"structure": {}, "lattice_fit": {}},
        "cluster": {"kind": "inline"},
    }
)
tree = sd.open_results(store)
tree.stemdask.plot.structure_types(frame=0)

# %%
# Strain from the lattice fit:

tree.stemdask.plot.strain(frame=0)
