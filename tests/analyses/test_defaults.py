from dataclasses import dataclass

import pytest

from stemdask.analyses import registry


@dataclass
class Source:
    kind: str
    files: tuple[str, ...]

    @property
    def n_frames(self) -> int:
        return len(self.files)

    def file_of(self, index: int) -> str:
        return self.files[index]


@pytest.mark.parametrize(
    ("kind", "files", "registered"),
    [
        ("images", ("a.dm4",), False),
        ("images", ("a.dm4",) * 5, True),
        ("images", ("a.tif", "b.tif", "c.tif"), False),
        ("atoms", ("a.xyz",) * 5, False),
    ],
)
def test_frames_of_one_file_are_registered_unless_said_otherwise(kind, files, registered):
    chosen = registry.defaults(Source(kind, files))
    assert ("registration" in chosen) == registered
    assert set(chosen) >= set(registry.DEFAULTS[kind])
