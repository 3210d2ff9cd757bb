"""The names of array types: one for each type of element; shapes stand in docstrings."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Floats: TypeAlias = NDArray[np.float64]
Image: TypeAlias = NDArray[np.float32]
Integers: TypeAlias = NDArray[np.int64]
Integers32: TypeAlias = NDArray[np.int32]
Indices: TypeAlias = NDArray[np.intp]  # what numpy returns where it returns indices
Codes: TypeAlias = NDArray[np.int8]  # flags and classes
Booleans: TypeAlias = NDArray[np.bool_]

# What a function takes that converts it.
AnyFloats: TypeAlias = NDArray[np.floating]
AnyIntegers: TypeAlias = NDArray[np.integer]
AnyNumbers: TypeAlias = NDArray[np.integer] | NDArray[np.floating]
