"""
Results as a pandas table
=========================

One row per atom; the padding of the store is left out.
"""

import stemdask as sd

tree = sd.open_results("stemdask-demo/atoms.zarr")
atoms = tree.stemdask.table("atoms")
print(atoms.groupby("coordination")[["q6_avg", "mean_bond_length"]].agg(["mean", "count"]).round(3))
