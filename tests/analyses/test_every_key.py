"""Every key of a config is run once with another value than its default, in whole runs over a few frames.

Keys of clusters are run by the tests of each batch system.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stores
import yaml
from scipy.spatial import cKDTree

import stemdask as sd
from stemdask import simulate
from stemdask.analyses import registry
from stemdask.config.keys import Config, Input, LimitsSection
from stemdask.model import Kind
from stemdask.results import reader

#: Keys of each analysis that go together.
IMAGES: dict[str, list[dict[str, Any]]] = {
    "preprocess": [
        {"hot_pixels": 8, "detector": [0, 500], "crop": ["4 px", "4 px", "150 px", "150 px"], "rotate": 3.0},
        {"upsample": 2, "flatten": "30 px", "smooth": "1 px", "measure_on": "filtered"},
    ],
    "denoise_images": [
        {"method": "gaussian", "strength": 0.5, "measure_on": "filtered"},
        {"n_components": 2, "max_components": 4},
    ],
    "registration": [{"mode": "independent"}, {"reference": 0, "average": False}],
    "columns": [
        {"separation": "14 px", "sublattices": 2, "shape": "gaussian", "widths": "map", "background": "constant"},
        {"vectors": [["14 px", "0 px"], ["0 px", "14 px"]], "noise": "poisson"},
        {"sublattices": 1, "refinement": "centre_of_mass"},
    ],
    "lattice": [{"constant": "0.416 nm"}],
    "scan_distortion": [{"remove": True, "flyback": 0.2}],
    "displacement": [
        {"displaced": "A", "framework": "B", "reference": "line", "remove": "tilt"},
        {"born_charge": 7.0, "depth": "4 angstrom"},
    ],
    "strain": [{"reference_a": "0.4 nm", "reference_b": "0.4 nm", "reference_gamma": 89.0}],
    "intensity": [{"count_atoms": True, "count_on": "voronoi", "max_atoms": 6, "first_count": 2}],
    "denoise": [{"method": "svd", "n_components": 1, "max_components": 3, "injected_step": 10.0, "seed": 1}],
    "domains": [
        {"method": "kmeans", "n_domains": 2, "source": "displacement", "neighbourhood": 1.0, "seed": 1},
        {"max_domains": 3, "features": "direction", "coupling": 0.5, "significance": 0.9, "embedding": "tsne"},
    ],
}
ATOMS: dict[str, list[dict[str, Any]]] = {
    "rdf": [{"bin_width": "0.05 angstrom", "r_max": "10 angstrom", "cutoff": "shared"}],
    "coordination": [{"rule": "bulk_distance", "lattice_parameter": "3.92 angstrom"}, {"cutoff": "3.4 angstrom"}],
    "bond_order": [
        {"l": [6], "neighbours": "nearest", "n_nearest": 11, "convention": "pyboo", "normalisation": "steinhardt"},
        {"cutoff": "3.4 angstrom", "threshold": 0.7, "min_fraction": 0.6, "min_mean": 0.5},
        {"min_bonds": 6},
    ],
    "surface": [{"cone": 50.0, "bulk_coordination": 11}],
    "structure": [
        {"method": "cna", "max_misorientation": 8.0, "min_grain": 5, "max_grains": 4, "min_layer": 2, "max_planes": 4},
        {"max_rmsd": 0.1},
    ],
    "tracks": [{"max_displacement": "1.2 angstrom", "memory": 1, "lindemann_range": "all"}],
    "phases": [{"layer_width": "3 angstrom"}],
    "lattice_fit": [{"lattice_parameter": "3.92 angstrom", "min_bonds": 5}],
    "finite_rdf": [{"margin": "2 angstrom"}],
    "nearest": [{"n_nearest": 8}],
    "diffraction": [{"radiation": "electron", "q_max": 10.0, "q_step": 0.05, "wavelength": "0.025 angstrom"}],
    "bond_angles": [{"n_bins": 90}],
    "centrosymmetry": [{"n_neighbors": 12}],
    "voronoi": [{"largest_hole": "2.5 angstrom"}],
    "short_range_order": [{"n_shells": 2}],
    "clusters": [{"threshold": 0.7, "min_atoms": 4}],
    "composition": [{"width": "3 angstrom"}],
    "facets": [
        {"probe_radius": "1.3 angstrom", "families": [[1, 0, 0], [1, 1, 1]], "max_angle": 10.0},
        {"surface_energies": [1.0, 1.1, 0.9], "hexagonal_families": [[0, 0, 1], [1, 0, 2]]},
    ],
    "radial_profile": [{"properties": ["q6_avg"], "by": "depth", "width": "3 angstrom"}],
    "uncertainty": [
        {"of": ["rdf/cutoff"], "coordinate_error": "0.05 angstrom", "n_samples": 2, "cutoff_step": "0.04 angstrom"}
    ],
}
TABLE: dict[Kind, dict[str, list[dict[str, Any]]]] = {"images": IMAGES, "atoms": ATOMS}
#: Keys that other tests run, with the file of these.
ELSEWHERE = {
    "images.preprocess.invert": "planning/test_polarity.py",
    "images.columns.engine": "adapters/test_atomap.py",
    "images.columns.edits": "analyses/images/columns/test_edits.py",
    "images.lattice.structure": "analyses/images/columns/test_structure.py",
    "images.lattice.zone": "analyses/images/columns/test_structure.py",
    "images.strain.octahedral_tilt": "analyses/images/cells/test_strain.py",
    "images.domains.classes": "analyses/images/maps/test_domains.py",
    "images.domains.regions": "analyses/images/maps/test_domains.py",
    "images.domains.labels": "analyses/images/maps/test_domains.py",
    "images.domains.model": "analyses/images/maps/test_domains.py",
    "images.domains.save_model": "analyses/images/maps/test_domains.py",
    "atoms.bond_order.engine": "adapters/test_pyboo.py",
}
#: Of what stands beside the analyses, with a short analysis for each.
LIMITS = {"frame_seconds": 100.0, "frame_memory": "3 GiB", "max_failed": 0.2, "isolate": False}
CONFIGS: dict[str, dict[str, Any]] = {
    "images": {
        "input": {"kind": "images", "pixel_size": "0.03 nm", "frames": "1:3", "invert": True},
        "analyses": {"preprocess": {"hot_pixels": 8}},
        "limits": LIMITS,
        "block_frames": 1,
    },
    "images of a known lattice": {"input": {"calibrate_from": {"a": "0.42 nm"}}, "analyses": {"lattice": {}}},
    "atoms": {
        "input": {"kind": "atoms", "scale": "1.1 angstrom", "frames": "0:1", "elements": {"Pt": "Au"}},
        "analyses": {"shape": {}},
    },
    "atoms of a known distance": {
        "input": {"calibrate_from": {"nearest_neighbour": "2.5 angstrom"}},
        "analyses": {"shape": {}},
    },
}
RUNS = [(kind, name, keys) for kind, table in TABLE.items() for name, sets in table.items() for keys in sets]


@pytest.mark.parametrize("kind", ["images", "atoms"])
def test_the_table_has_every_key(kind: Kind) -> None:
    run = {f"{kind}.{name}.{key}" for name, sets in TABLE[kind].items() for keys in sets for key in keys}
    elsewhere = {key for key in ELSEWHERE if key.startswith(kind)}
    declared = {f"{kind}.{one.name}.{key}" for one in registry.of_kind(kind) for key in one.params.model_fields}
    assert run | elsewhere == declared
    assert not run & elsewhere


@pytest.mark.parametrize(("key", "file"), ELSEWHERE.items())
def test_keys_of_other_tests_are_there(key: str, file: str) -> None:
    assert key.rpartition(".")[2] in (Path(__file__).parents[1] / file).read_text()


@pytest.mark.parametrize(("kind", "name", "keys"), RUNS)
def test_no_value_is_the_default(kind: Kind, name: str, keys: dict[str, Any]) -> None:
    model = registry.get(kind, name).params
    set_to = model.model_validate(keys)
    assert [key for key in keys if getattr(set_to, key) == getattr(model(), key)] == []


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, Path]:
    folder = tmp_path_factory.mktemp("inputs")
    motion = simulate.trajectory(simulate.nanocrystal(14.0), 2, sigma=0.05, rotation=2.0, seed=1)
    atoms = stores.write_particles(folder / "moving.xyz", [motion.read(index) for index in range(2)])
    return {"images": stores.write_stack(folder / "stack.npy", 3), "atoms": atoms}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name", "keys"), RUNS)
def test_every_key_runs(kind: Kind, name: str, keys: dict[str, Any], inputs: dict[Kind, Path], tmp_path: Path) -> None:
    usual = {} if kind == "images" else {"bond_order": {}}
    pixel_size = "0.0297 nm" if kind == "images" else None
    store = stores.run(inputs[kind], tmp_path / "a.zarr", usual | {name: keys}, pixel_size)
    tree = reader.open_results(store)
    assert tree.attrs["state"] == "complete"
    assert np.all(tree["frames/frame_status"].values == 1), tree["frames/error"].values


def test_the_table_has_every_key_beside_those_of_analyses_and_clusters() -> None:
    top = {key for config in CONFIGS.values() for key in config}
    assert top | {"output", "cluster"} == Config.model_fields.keys()
    inputs = {key for config in CONFIGS.values() for key in config["input"]}
    assert inputs | {"path"} == Input.model_fields.keys()
    assert LIMITS.keys() == LimitsSection.model_fields.keys()


@pytest.fixture
def ran(name: str, inputs: dict[Kind, Path], tmp_path: Path) -> Any:
    """The store of a config of the table, as a tree with its resolved config."""
    config, kind = CONFIGS[name], name.split()[0]
    beside = {"output": str(tmp_path / "a.zarr"), "cluster": {"kind": "inline"}}
    given = config | {"input": config["input"] | {"path": str(inputs["images" if kind == "images" else "atoms"])}}
    tree = reader.open_results(sd.run(given | beside))
    assert np.all(tree["frames/frame_status"].values == 1), tree["frames/error"].values
    return tree


@pytest.mark.slow
@pytest.mark.parametrize("name", ["images"])
def test_keys_of_images_and_limits_are_obeyed(name: str, ran: Any, inputs: dict[Kind, Path]) -> None:
    resolved = yaml.safe_load(ran.attrs["config"])
    assert resolved["input"] == CONFIGS[name]["input"] | {"path": str(inputs["images"])}
    assert resolved["limits"] == LIMITS | {"frame_memory": 3 * 2**30}
    assert (ran["frames"].sizes["frame"], ran["frames/frame_status"].encoding["chunks"]) == (2, (1,))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["images of a known lattice"])
def test_images_get_their_pixel_size_from_a_lattice(name: str, ran: Any) -> None:
    assert ran["lattice/a_x"].attrs["units"] == "nm"
    lengths = [np.hypot(ran[f"lattice/{name}_y"], ran[f"lattice/{name}_x"]).values for name in "ab"]
    np.testing.assert_allclose(lengths, 0.42, rtol=0.005)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["atoms"])
def test_keys_of_structures_are_obeyed(name: str, ran: Any) -> None:
    assert ran["frames"].sizes["frame"] == 1
    np.testing.assert_array_equal(ran["atoms/element"].values, 79)
    assert nearest(ran) == pytest.approx(1.1 * 2.77, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["atoms of a known distance"])
def test_structures_get_their_scale_from_a_distance(name: str, ran: Any) -> None:
    assert nearest(ran) == pytest.approx(2.5, rel=0.05)


def nearest(tree: Any) -> float:
    """Return the median distance to the nearest atom in the first frame, Å; motion makes it less than the mean."""
    atoms = tree["atoms"].isel(frame=0)
    places = np.stack([atoms[axis].values[: int(atoms["n_atoms"])] for axis in "xyz"], axis=1).astype(float)
    return float(np.median(cKDTree(places).query(places, k=2)[0][:, 1]))
