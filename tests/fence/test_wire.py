from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from stemdask.fence import wire

arrays = st.dictionaries(
    st.text(min_size=1, max_size=8),
    npst.arrays(
        st.sampled_from(["f8", "f4", "i1", "i4", "u1", "?"]), npst.array_shapes(min_dims=0, max_dims=3, min_side=0)
    ),
    max_size=4,
)


@given(arrays)
def test_a_message_comes_back_as_it_was(sent: dict[str, np.ndarray]) -> None:
    message = wire.pack({"error": "é\n", "seconds": 0.1}, sent)
    prefix, body = message[: wire.PREFIX], message[wire.PREFIX :]
    assert wire.body_length(prefix) == len(body)
    header, found = wire.unpack(prefix, body)
    assert header == {"error": "é\n", "seconds": 0.1}
    assert list(found) == list(sent)
    for path, array in sent.items():
        assert found[path].dtype == array.dtype
        np.testing.assert_array_equal(found[path], array)
        assert found[path].shape == array.shape


def test_an_array_of_objects_is_not_sent() -> None:
    message = wire.pack({}, {"a": np.array([{}], dtype=object)})
    with pytest.raises(ValueError, match="OBJECT"):
        wire.unpack(message[: wire.PREFIX], message[wire.PREFIX :])
