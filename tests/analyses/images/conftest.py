"""A stack in memory, for the hooks that run before and after the frames."""

from __future__ import annotations

import numpy as np
import pytest

from stemdask.analyses import chain
from stemdask.model import ImageFrame, Step


class MemoryStack:
    """What `finish` sees: results in memory, blocks of a few frames, everything that was written checked."""

    def __init__(self, frames, steps, results, block):
        self._frames = frames
        self.results = results
        self.attributes = {}
        self.n_frames = len(frames)
        self.blocks = [slice(k, min(k + block, self.n_frames)) for k in range(0, self.n_frames, block)]
        self._declared = {v.path: v for v in chain.declared("images", steps, "finish")}
        self._run = {v.path for v in chain.declared("images", steps, "run")}

    def read(self, path, frames=slice(None)):
        return self.results[path][frames] if path in self._run else self.results[path]

    def has(self, path):
        return path in self.results

    def frame(self, index):
        return self._frames[index]

    def write(self, path, values, frames=None):
        variable = self._declared[path]
        values = np.asarray(values).astype(variable.dtype, casting="same_kind")
        assert values.ndim == len(variable.dims)
        if frames is None:
            self.results[path] = values
            return
        assert frames in self.blocks
        whole = self.results.setdefault(path, np.zeros((self.n_frames, *values.shape[1:]), variable.dtype))
        whole[frames] = values

    def set_attributes(self, group, attributes):
        self.attributes.setdefault(group, {}).update(attributes)


def _pad(arrays, dtype):
    shape = np.max([a.shape for a in arrays], axis=0).astype(int)
    fill = np.nan if np.dtype(dtype).kind == "f" else -1
    whole = np.full((len(arrays), *shape), fill, dtype=dtype)
    for k, a in enumerate(arrays):
        whole[(k, *(slice(n) for n in a.shape))] = a
    return whole


@pytest.fixture
def analysed():
    """Return a function that runs a chain of analyses, (name, params) pairs, over images as the engine does."""

    def run(images, *chosen, pixel_size=(1.0, 1.0), offset=(0.0, 0.0), block=5):
        frames = [
            ImageFrame(k, np.asarray(image), pixel_size, offset) if not isinstance(image, ImageFrame) else image
            for k, image in enumerate(images)
        ]
        steps = [Step(name, params) for name, params in chosen]

        class Lazy(list):
            def __getitem__(self, k):
                frame = super().__getitem__(k)
                return ImageFrame(frame.index, frame.pixels, frame.pixel_size, frame.offset)

        lazy = Lazy(frames)
        prepared = chain.prepare("images", steps, lazy)
        rows = []
        for k in range(len(lazy)):
            frame = lazy[k]
            frame.results.update(prepared)
            rows.append(chain.analyse("images", steps, frame))
        declared = chain.declared("images", steps, "run")
        results = dict(prepared) | {v.path: _pad([row[v.path] for row in rows], v.dtype) for v in declared}
        stack = MemoryStack(lazy, steps, results, block)
        for step in steps:
            finish = chain.registry.get("images", step.name).finish
            if finish is not None:
                finish(stack, step.params)
        return stack

    return run
