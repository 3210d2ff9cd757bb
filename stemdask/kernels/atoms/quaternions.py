"""Rotations as unit quaternions w, x, y, z, inside compiled kernels and outside."""

from __future__ import annotations

import numpy as np

from stemdask.kernels.arrays import Floats
from stemdask.kernels.compiled import kernel


def quaternion_of(rotation: Floats) -> Floats:
    """Return the quaternion (4,) of a rotation (3, 3), of either sign."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    # Four times the outer product of the quaternion with itself; its largest column is the most exact.
    outer = np.array(
        [
            [1 + xx + yy + zz, zy - yz, xz - zx, yx - xy],
            [zy - yz, 1 + xx - yy - zz, xy + yx, xz + zx],
            [xz - zx, xy + yx, 1 - xx + yy - zz, yz + zy],
            [yx - xy, xz + zx, yz + zy, 1 - xx - yy + zz],
        ]
    )
    column = outer[:, np.argmax(np.diag(outer))]
    found: Floats = column / np.linalg.norm(column)
    return found


def products(a: Floats, b: Floats) -> Floats:
    """Return the quaternions (..., 4) of rotations b followed by a."""
    w, x, y, z = np.moveaxis(a, -1, 0)
    p, q, r, s = np.moveaxis(b, -1, 0)
    parts = (
        w * p - x * q - y * r - z * s,
        w * q + x * p + y * s - z * r,
        w * r - x * s + y * p + z * q,
        w * s + x * r - y * q + z * p,
    )
    return np.stack(parts, axis=-1)


@kernel
def rotation_of(quaternion: Floats, rotation: Floats) -> None:
    """Write the (3, 3) matrix of a rotation."""
    w, x, y, z = quaternion[0], quaternion[1], quaternion[2], quaternion[3]
    rotation[0, 0], rotation[0, 1], rotation[0, 2] = 1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)
    rotation[1, 0], rotation[1, 1], rotation[1, 2] = 2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)
    rotation[2, 0], rotation[2, 1], rotation[2, 2] = 2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)


@kernel
def product(a: Floats, b: Floats, both: Floats) -> None:
    """Write the quaternion of a rotation b followed by a, the first part not negative; `both` is another array."""
    w = a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3]
    sign = -1.0 if w < 0 else 1.0
    both[0] = sign * w
    both[1] = sign * (a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2])
    both[2] = sign * (a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1])
    both[3] = sign * (a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0])
