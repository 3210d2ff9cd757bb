import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemdask.kernels.atoms.linking import link
from stemdask.simulate import nanocrystal


def cost_of(links, before, after, reach):
    """Return the sum that is to be least: squared displacements, and half reach squared for everyone left over."""
    linked = np.flatnonzero(links >= 0)
    squared = ((after[linked] - before[links[linked]]) ** 2).sum()
    return squared + 0.5 * reach**2 * (len(before) + len(after) - 2 * len(linked))


def all_links(n, m):
    for choice in itertools.product(range(-1, n), repeat=m):
        used = [i for i in choice if i >= 0]
        if len(used) == len(set(used)):
            yield np.array(choice)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 5), m=st.integers(1, 5))
def test_no_other_links_cost_less(seed, n, m):
    random = np.random.default_rng(seed)
    before, after, reach = random.uniform(0, 2, (n, 3)), random.uniform(0, 2, (m, 3)), 1.2
    links = link(before, after, reach)
    distance = np.linalg.norm(after - before[links], axis=1)[links >= 0]
    assert (distance <= reach).all()
    best = min(cost_of(other, before, after, reach) for other in all_links(n, m))
    assert cost_of(links, before, after, reach) == pytest.approx(best)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_links_do_not_depend_on_the_order_of_the_atoms(seed):
    random = np.random.default_rng(seed)
    before = nanocrystal(15).positions
    after = before + random.normal(scale=0.4, size=before.shape)
    order = random.permutation(len(after))
    np.testing.assert_array_equal(link(before, after[order], 2.0), link(before, after, 2.0)[order])


def test_shaken_atoms_keep_their_identity_and_new_ones_have_none():
    random = np.random.default_rng(1)
    before = nanocrystal(21.2).positions
    after = np.vstack([before[20:] + random.normal(scale=0.15, size=(len(before) - 20, 3)), [[30, 0, 0]]])
    np.testing.assert_array_equal(link(before, after, 1.38), [*range(20, len(before)), -1])


def test_two_atoms_that_want_the_same_place_share_it_out():
    before, after = np.array([[0, 0, 0], [1.0, 0, 0]]), np.array([[0.9, 0, 0], [1.6, 0, 0]])
    np.testing.assert_array_equal(link(before, after, 2.0), [0, 1])


def test_atoms_of_different_elements_are_never_the_same():
    place = np.zeros((1, 3))
    assert link(place, place, 1.0, np.array([78], np.uint8), np.array([79], np.uint8))[0] == -1
    assert link(place, place, 1.0, np.array([78], np.uint8), np.array([78], np.uint8))[0] == 0


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0)])
def test_nobody_is_linked_to_nobody(n, m):
    assert list(link(np.zeros((n, 3)), np.zeros((m, 3)), 1.0)) == [-1] * m
