"""
Strain
======

Strain and rotation of each cell, relative to the mean lattice of the frame. The simulated lattice is not strained: what
the maps show is noise, which the errors account for.
"""

import stemdask as sd

store = sd.run(
    {
        "input": {"path": "stemdask-demo/images.npy", "pixel_size": "0.0297 nm", "frames": "0:2"},
        "output": "stemdask-demo/strain.zarr",
        "analyses": {"strain": {}},
        "cluster": {"kind": "inline"},
    }
)
tree = sd.open_results(store)
tree.stemdask.plot.strain(frame=0)

# %%
# The scatter of the strain in units of its error is about one:

strain = tree["strain"].to_dataset()
print(f"{float((strain.exx / strain.exx_err).std()):.2f}")
