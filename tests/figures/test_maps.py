from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from stemdask.figures import domains as domain_figures
from stemdask.figures import maps


def displacement(n=36, seed=0):
    random = np.random.default_rng(seed)
    row, column = np.indices((6, 6)).reshape(2, -1)[:, :n]
    u, v = random.normal(10, 3, (2, n))
    data = {"y": 0.4 * row, "x": 0.4 * column, "u": u, "v": v}
    return xr.Dataset({name: ("cell", np.append(values, np.nan)) for name, values in data.items()})


def domains(frames=5, k=2):
    series = {
        name: (("frame", "domain"), np.full((frames, k), 0.5))
        for name in ("fraction", "mean_u", "mean_v", "mean_u_err", "mean_v_err")
    }
    curve = np.array([np.nan, 3.0, 1.0, 2.0])
    curves = dict.fromkeys(("bic", "evidence", "silhouette", "stability"), ("n_clusters", curve))
    return xr.Dataset(series | curves | {"wall_length": (("frame", "domain", "other_domain"), np.ones((frames, k, k)))})


def drawn(figure, tmp_path):
    path = tmp_path / "figure.png"
    figure.savefig(path)
    return path.stat().st_size > 3000


@pytest.mark.parametrize("n", [36, 1, 0])
def test_maps_of_many_few_and_no_cells_are_drawn(tmp_path, n):
    measured = displacement(n)
    assert drawn(maps.denoising(measured, 0.5 * measured), tmp_path)
    label = xr.Dataset({"label": ("cell", np.append(np.zeros(n, dtype=int), -1))})
    assert drawn(domain_figures.domain_map(measured, label, [45.0], ["0"]), tmp_path)


def test_the_scree_shows_the_number_chosen(tmp_path):
    components = xr.Dataset(
        {
            "explained_variance": ("component", np.array([9.0, 4, 1])),
            "held_out_error": ("n_components", np.array([3.0, 2, 1, 2])),
        }
    )
    figure = maps.scree(components, 2)
    assert drawn(figure, tmp_path)
    assert "2 chosen" in [text.get_text() for text in figure.axes[1].texts]


def test_the_other_figures_are_drawn(tmp_path):
    grid = np.random.default_rng(0).normal(size=(3, 6, 6))
    dims = ("component", "cell_row", "cell_column")
    assert drawn(maps.component_maps(xr.Dataset({"u": (dims, grid), "v": (dims, grid)})), tmp_path)
    compared = xr.Dataset(
        {
            "estimated_error": ("method", np.array([3.0, 1, np.nan])),
            "step_lost": (("method", "step"), np.ones((3, 3))),
            "residual": (("method", "cell_row", "cell_column"), np.abs(grid)),
        }
    )
    assert drawn(maps.comparison(compared, ["none", "pca", "nmf"], "pca"), tmp_path)
    assert drawn(maps.residuals(compared, ["none", "pca", "nmf"]), tmp_path)
    assert drawn(domain_figures.evidence(domains(), 3.0, 0.8), tmp_path)
    assert drawn(domain_figures.fractions(domains(), [0.0, 180.0], ["0", "1"]), tmp_path)
    assert drawn(domain_figures.fractions(domains(frames=1), [0.0, 180.0], ["0", "1"]), tmp_path)
    assert drawn(domain_figures.confusion(np.array([[9.0, 1], [np.nan, 5]]), ["up", "down"]), tmp_path)
    embedded = xr.Dataset({"position": (("shown", "axis"), grid[0, :, :2]), "label": ("shown", np.arange(6) % 2)})
    assert drawn(domain_figures.embedding(embedded, [0.0, 180.0]), tmp_path)


def test_domains_of_one_direction_have_colours_of_their_own():
    colours = domain_figures.domain_colours([10.0, 12.0, 190.0])
    assert len(set(colours)) == 3
    assert domain_figures.domain_colours([179.0])[0] == pytest.approx(domain_figures.domain_colours([-181.0])[0])
