import numpy as np
import pytest

from stemdask.analyses import chain
from stemdask.config.document import Document
from stemdask.errors import FrameError
from stemdask.model import AtomsFrame
from stemdask.planning.steps import steps
from stemdask.simulate import nanocrystal


def analysed(frame, **params):
    chosen, problems = steps(Document({"analyses": {"diffraction": params}}), "atoms")
    assert problems == []
    prepared = chain.prepare("atoms", chosen, [frame])
    frame.results.update(prepared)
    return prepared | chain.analyse("atoms", chosen, frame)


def test_the_first_reflection_lies_at_the_angle_of_bragg_for_the_wavelength():
    found = analysed(nanocrystal(30), q_max=4.0, wavelength="0.7107 angstrom")
    angle, q = found["diffraction/two_theta"], found["diffraction/q"]
    near = (q > 2) & (q < 3)
    highest = np.argmax(np.where(near, found["diffraction/intensity"], 0))
    expected = 2 * np.degrees(np.arcsin(0.7107 / (2 * 3.92 / np.sqrt(3))))
    assert angle[highest] == pytest.approx(expected, abs=0.2)


def test_angles_beyond_180_degrees_do_not_exist():
    angle = analysed(nanocrystal(10))["diffraction/two_theta"]
    assert np.nanmax(angle) > 170
    assert np.isnan(angle[-1])


def test_electrons_have_another_pattern_of_the_same_structure():
    one, other = (analysed(nanocrystal(14), radiation=radiation) for radiation in ("xray", "electron"))
    np.testing.assert_allclose(one["diffraction/structure_factor"], other["diffraction/structure_factor"], rtol=1e-9)
    assert not np.allclose(one["diffraction/intensity"], other["diffraction/intensity"], rtol=0.1)


def test_missing_atoms_are_left_out_and_a_box_has_no_sum():
    particle = nanocrystal(14)
    holed = particle.positions.copy()
    holed[3] = np.nan
    without = AtomsFrame(0, np.delete(particle.positions, 3, axis=0), particle.numbers[1:])
    found = analysed(AtomsFrame(0, holed, particle.numbers))["diffraction/intensity"]
    np.testing.assert_array_equal(found, analysed(without)["diffraction/intensity"])
    box = AtomsFrame(0, particle.positions, particle.numbers, 40 * np.eye(3), (True, True, True))
    assert np.isnan(analysed(box)["diffraction/intensity"]).all()


def test_an_element_without_form_factor_is_named():
    particle = nanocrystal(10)
    with pytest.raises(FrameError, match="atomic number 110"):
        analysed(AtomsFrame(0, particle.positions, np.full_like(particle.numbers, 110)))
