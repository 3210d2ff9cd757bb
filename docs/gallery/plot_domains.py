"""
Domains and denoised maps
=========================

Both are counted and fitted over the whole stack, so that a label means the same domain in every frame.
"""

import stemdask as sd

store = sd.run(
    {
        "input": {"path": "stemdask-demo/images.npy", "pixel_size": "0.0297 nm"},
        "output": "stemdask-demo/domains.zarr",
        "analyses": {"displacement": {}, "denoise": {}, "domains": {}},
        "cluster": {"kind": "inline"},
    }
)
tree = sd.open_results(store)
tree.stemdask.plot.domains(frame=0)

# %%
# ``statement`` says in a sentence what was found.

print(tree["domains"].attrs["statement"])

# %%
# The denoised map beside the measured one:

tree.stemdask.plot.denoising(frame=0)
