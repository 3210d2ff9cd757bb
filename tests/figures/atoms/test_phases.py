import numpy as np
import xarray as xr

from stemdask.analyses.atoms.time import phases
from stemdask.figures.atoms.phases import Series, courses, fractions, order_in_time, summary
from stemdask.kernels.atoms.change_points import Transition

CORE = next(quantity for quantity in phases.QUANTITIES if quantity.variable == phases.CORE_ORDER)
N_ATOMS = phases.QUANTITIES[0]


def series(of, *changes):
    values = np.linspace(0.9, 0.2, 30)
    return Series(of, values, np.full(30, 0.01), list(changes))


def test_changes_are_shaded_from_their_first_frame_to_their_last():
    figure = courses([series(CORE, Transition(10, 0.5, 20, 1.0, 0.9, 0.2)), series(N_ATOMS)])
    upper, lower = figure.axes
    (shade,) = upper.patches
    assert (shade.get_x(), shade.get_x() + shade.get_width()) == (9.5, 19.5)
    assert [line.get_xdata()[0] for line in upper.lines[1:]] == [9.5, 19.5]
    assert len(lower.patches) == 0


def test_order_by_depth_is_drawn_as_deep_as_there_are_atoms():
    order = np.full((5, 4), np.nan)
    order[:, :3] = np.arange(5)[:, None] / 5
    found = xr.Dataset({"layer": ("layer", [1.0, 3.0, 5.0, 7.0]), "layer_order": (("frame", "layer"), order)})
    axes = order_in_time(found).axes[0]
    np.testing.assert_allclose(axes.collections[0].get_array(), order[:, :3].T)
    assert axes.get_ylim() == (6.0, 0.0)


def test_only_structure_types_that_occur_are_drawn():
    values = np.zeros((6, 12))
    values[:, 0], values[:, 1] = np.linspace(0, 1, 6), np.linspace(1, 0, 6)
    axes = fractions(xr.Dataset({"fraction": (("frame", "structure_kind"), values)})).axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["disordered", "fcc"]


def test_a_sentence_says_when_each_change_begins_and_ends():
    step, ramp = Transition(10, 0.3, 10, 0.3, 0.9, 0.2), Transition(15, 1.2, 25, 2.0, 300.0, 400.0)
    assert summary([series(CORE, step), series(N_ATOMS, ramp)]) == (
        "At frame 10 ± 0.5 the mean crystallinity of the core falls (0.90 to 0.20); "
        "from frame 15 ± 1 to 25 ± 2 the number of atoms rises (300 to 400)."
    )


def test_changes_that_were_on_their_way_are_said_to_last():
    nan = float("nan")
    until, since, ever = (Transition(*ends, 0.9, 0.2) for ends in ((0, nan, 9, 1), (9, 1, 30, nan), (0, nan, 30, nan)))
    for change, words in (
        (until, "Until frame 9 ± 1 the"),
        (since, "From frame 9 ± 1 to the last the"),
        (ever, "From the first frame to the last the"),
    ):
        assert summary([series(CORE, change)]).startswith(words)


def test_changes_at_the_same_frames_are_told_in_one_breath():
    one, other = Transition(10, 0.5, 20, 1.0, 0.9, 0.2), Transition(11, 0.5, 21, 1.0, 300.0, 200.0)
    said = summary([series(CORE, one), series(N_ATOMS, other)])
    assert said.count("frame") == 1
    assert "falls (0.90 to 0.20) and the number of atoms falls (300 to 200)." in said
