"""Nanocrystals and their trajectories with known ground truth, for tests, teaching and the demo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist
from scipy.spatial.transform import Rotation

from stemdask.kernels.arrays import Booleans, Floats, Integers
from stemdask.model import AtomsFrame, Kind

Shape: TypeAlias = Literal["truncated-octahedron", "octahedron", "cuboctahedron", "icosahedron", "decahedron", "sphere"]

_MAX_SHELLS = 60


def nanocrystal(
    diameter: float,
    element: str = "Pt",
    shape: Shape = "truncated-octahedron",
    *,
    lattice_parameter: float | None = None,
) -> AtomsFrame:
    """Build an ideal nanocrystal of a face-centred cubic metal.

    Parameters
    ----------
    diameter
        Largest distance between two atoms, angstrom. Polyhedra grow in closed shells: the one nearest to it is
        returned. A sphere is cut to it exactly, around an atom.
    element
        Chemical symbol.
    shape
        Its form; the icosahedron and the decahedron are multiply twinned, all others single crystals with their
        cube axes along x, y and z.
    lattice_parameter
        Edge of the cubic cell, angstrom; by default the one that ASE tabulates for the element.

    Returns
    -------
    AtomsFrame
        Centred at the origin.

    Raises
    ------
    ValueError
        Where the shape is unknown, the diameter isn't positive or the element has no tabulated fcc lattice.

    Examples
    --------
    >>> from stemdask.simulate import nanocrystal
    >>> nanocrystal(22.0, "Pt").positions.shape
    (405, 3)
    """
    from ase import data  # ASE takes half a second to import

    if not 0 < diameter < np.inf:
        raise ValueError(f"the diameter must be positive and finite, in angstrom; got {diameter}")
    number = data.atomic_numbers.get(element)
    if number is None:
        raise ValueError(f"{element!r} is not a chemical symbol; write for example 'Pt'")
    if lattice_parameter is None:
        reference: dict[str, Any] = data.reference_states[number] or {}
        if reference.get("symmetry") != "fcc":
            raise ValueError(f"{element} is not face-centred cubic; pass lattice_parameter to build it as such")
        lattice_parameter = float(reference["a"])
    if shape == "sphere":
        positions = _sphere(diameter, lattice_parameter)
    elif shape in _POLYHEDRA:
        positions = _nearest_shell(_POLYHEDRA[shape], diameter, element, lattice_parameter)
    else:
        raise ValueError(f"unknown shape {shape!r}; allowed: {', '.join((*_POLYHEDRA, 'sphere'))}")
    positions = positions - positions.mean(axis=0)
    return AtomsFrame(0, positions, np.full(len(positions), number, np.uint8))


@dataclass(frozen=True, slots=True)
class Truth:
    """Ground truth of one frame of a trajectory, by atom in the order of that frame."""

    identity: Integers
    """(n,), index of the atom in the trajectory's sites."""
    rotation: Floats
    """(3, 3), turns the particle from its first orientation to this one."""
    translation: Floats
    """(3,), angstrom."""
    disordered: Booleans
    """(n,), atoms that were moved off their lattice site."""
    sites: Floats
    """(n, 3), angstrom, where the atoms would be without thermal displacement, turned and moved with the particle."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A particle over time; frames are generated on reading, so their number costs no memory."""

    sites: Floats
    """(n, 3), angstrom, places of all atoms that ever exist, in the first orientation."""
    numbers: NDArray[np.uint8]
    disordered: Booleans
    """(n,), atoms off their lattice site."""
    born: Integers
    """(n,), first frame with the atom."""
    died: Integers
    """(n,), first frame without it again."""
    n_frames: int
    sigma: float
    axis: Floats
    rotation: float
    drift: Floats
    shuffle: bool
    seed: int

    @property
    def kind(self) -> Kind:
        """Frames are structures."""
        return "atoms"

    def __len__(self) -> int:
        return self.n_frames

    def __getitem__(self, index: int) -> AtomsFrame:
        return self.read(index)

    def read(self, index: int) -> AtomsFrame:
        """Generate one frame; the same index and seed always give the same frame."""
        truth, noise = self._make(index)
        return AtomsFrame(index, truth.sites + noise, self.numbers[truth.identity], time=float(index))

    def truth(self, index: int) -> Truth:
        """Return the ground truth of one frame."""
        return self._make(index)[0]

    def file_of(self, index: int) -> str:
        """Name the origin of a frame."""
        return f"simulated trajectory, seed {self.seed}, frame {index}"

    def _make(self, index: int) -> tuple[Truth, Floats]:
        if not 0 <= index < self.n_frames:
            raise IndexError(f"frame {index} of a trajectory of {self.n_frames} frames")
        random = np.random.default_rng((self.seed, 1, index))
        present = np.flatnonzero((self.born <= index) & (index < self.died))
        if self.shuffle:
            random.shuffle(present)
        matrix = Rotation.from_rotvec(np.radians(self.rotation * index) * self.axis).as_matrix()
        translation = self.drift * index
        truth = Truth(
            identity=present,
            rotation=matrix,
            translation=translation,
            disordered=self.disordered[present],
            sites=self.sites[present] @ matrix.T + translation,
        )
        return truth, random.normal(scale=self.sigma, size=(len(present), 3))


def trajectory(
    particle: AtomsFrame,
    n_frames: int,
    *,
    sigma: float = 0.1,
    n_disordered: int = 0,
    disorder: float = 0.7,
    rotation: float = 0.0,
    translation: float = 0.0,
    n_exchanged: int = 0,
    shuffle: bool = False,
    seed: int = 0,
) -> Trajectory:
    """Let a particle vibrate, rotate, drift, lose order at its surface and exchange atoms.

    Parameters
    ----------
    particle
        Structure to start from.
    n_frames
        Number of frames.
    sigma
        Thermal displacement, standard deviation along each axis, angstrom; independent from frame to frame.
    n_disordered
        Number of atoms off their lattice site in every frame: those with the fewest neighbours.
    disorder
        How far off, angstrom, each in a random direction.
    rotation
        Rigid rotation from frame to frame, degrees, about a fixed axis through the origin.
    translation
        Rigid translation from frame to frame, angstrom, along a fixed direction.
    n_exchanged
        How many atoms don't live through the whole trajectory: half of them appear and half of them vanish on the
        way, each once, at frames of their own.
    shuffle
        Whether the order of the atoms differs from frame to frame.
    seed
        The same seed gives the same trajectory.

    Raises
    ------
    ValueError
        Where more atoms are to be disordered or exchanged than there are.

    Examples
    --------
    >>> from stemdask.simulate import nanocrystal, trajectory
    >>> motion = trajectory(nanocrystal(22.0, "Pt"), 1000, sigma=0.08, n_disordered=24, seed=1)
    >>> len(motion), int(motion.truth(999).disordered.sum())
    (1000, 24)
    """
    sites = np.array(particle.positions, dtype=float)
    n = len(sites)
    if not 0 <= n_disordered <= n:
        raise ValueError(f"n_disordered must be between 0 and {n}, the number of atoms; got {n_disordered}")
    if not 0 <= n_exchanged <= n or (n_exchanged and n_frames < 2):
        raise ValueError(f"n_exchanged must be between 0 and {n} and needs at least 2 frames; got {n_exchanged}")
    random = np.random.default_rng((seed, 0))
    disordered = np.zeros(n, dtype=bool)
    disordered[_outermost(sites, random)[:n_disordered]] = True
    sites[disordered] += disorder * _directions(random, n_disordered)
    born, died = np.zeros(n, dtype=np.int64), np.full(n, n_frames, dtype=np.int64)
    chosen = random.permutation(n)[:n_exchanged]
    half = n_exchanged // 2
    born[chosen[:half]] = random.integers(1, max(n_frames, 2), half)
    died[chosen[half:]] = random.integers(1, max(n_frames, 2), n_exchanged - half)
    axis, direction = _directions(random, 2)
    return Trajectory(
        sites=sites,
        numbers=particle.numbers,
        disordered=disordered,
        born=born,
        died=died,
        n_frames=n_frames,
        sigma=sigma,
        axis=axis,
        rotation=rotation,
        drift=translation * direction,
        shuffle=shuffle,
        seed=seed,
    )


def _sphere(diameter: float, a: float) -> Floats:
    reach = int(np.ceil(diameter / a)) + 1
    cells = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    basis = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    points = a * (cells + basis).reshape(-1, 3)
    inside: Floats = points[np.linalg.norm(points, axis=1) <= diameter / 2 * (1 + 1e-12)]
    return inside


@lru_cache(maxsize=64)  # the search for a diameter makes the small ones again and again
def _cluster(builder: str, element: str, *sizes: int, a: float, **options: int) -> Floats:
    from ase import cluster

    build: Callable[..., Any] = getattr(cluster, builder)
    positions: Floats = build(element, *sizes, latticeconstant=a, **options).positions
    positions.flags.writeable = False
    return positions


#: Builders by the number of shells, from 1 on; the diameter grows with it.
_POLYHEDRA: dict[str, Callable[[str, float, int], Floats]] = {
    "truncated-octahedron": lambda e, a, n: _cluster("Octahedron", e, n + 3, a=a, cutoff=round((n + 2) / 3)),
    "octahedron": lambda e, a, n: _cluster("Octahedron", e, n + 1, a=a),
    "cuboctahedron": lambda e, a, n: _cluster("Octahedron", e, 2 * n + 1, a=a, cutoff=n),
    "icosahedron": lambda e, a, n: _cluster("Icosahedron", e, n + 1, a=a),
    "decahedron": lambda e, a, n: _cluster("Decahedron", e, n + 1, n + 1, 0, a=a),
}


def _nearest_shell(build: Callable[[str, float, int], Floats], diameter: float, element: str, a: float) -> Floats:
    best, best_miss = np.empty((0, 3)), np.inf
    for n in range(1, _MAX_SHELLS):
        positions = build(element, a, n)
        miss = abs(_extent(positions) - diameter)
        if miss >= best_miss:
            break
        best, best_miss = positions, miss
    return best


def _extent(positions: Floats) -> float:
    """Return the largest distance between two atoms, which only those far from the centre can have."""
    distance = np.linalg.norm(positions - positions.mean(axis=0), axis=1)
    outer = positions[distance >= 0.8 * distance.max()]
    return float(pdist(outer).max())


def _outermost(positions: Floats, random: np.random.Generator) -> Integers:
    """Return the atoms in order of their number of neighbours, ties in random order."""
    if len(positions) < 2:
        return np.arange(len(positions))
    tree = cKDTree(positions)
    nearest = np.median(tree.query(positions, k=2)[0][:, 1])
    neighbours = tree.query_ball_point(positions, 1.2 * nearest, return_length=True)
    order: Integers = np.lexsort((random.random(len(positions)), neighbours))
    return order


def _directions(random: np.random.Generator, n: int) -> Floats:
    vectors = random.normal(size=(n, 3))
    unit: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
