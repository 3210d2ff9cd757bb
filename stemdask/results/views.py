"""The results of a run as its analyses and figures read them: groups of one frame or of all, config, images."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import yaml

from stemdask.analyses import chain, registry
from stemdask.errors import StemdaskError, StoreError
from stemdask.kernels.arrays import Indices
from stemdask.model import FrameStatus, ImageFrame, Kind, Params, Step, Variable
from stemdask.sources import fenced
from stemdask.sources.atoms.source import AtomsSource
from stemdask.sources.images.source import ImageSource
from stemdask.store.layout import INPUT_DIRECTORY, INPUT_FROM_STORE


def _under(folder: Path, item: str) -> str:
    """Return where a path is from a folder, in whose own name nothing is a pattern."""
    pattern = glob.has_magic(item)
    return str(Path(glob.escape(str(folder)) if pattern else folder) / Path(item).expanduser())


class Results:
    """Results of a run, read on demand.

    Parameters
    ----------
    tree
        An opened store.
    ideal
        The store of an ideal particle that figures compare a structure with.
    reads_input
        False: as where the input can't be read.
    """

    def __init__(self, tree: xr.DataTree, ideal: xr.DataTree | None = None, *, reads_input: bool = True) -> None:
        self._tree = tree
        self._reads_input = reads_input
        self.ideal = Results(ideal) if ideal is not None else None

    @property
    def kind(self) -> Kind:
        """Which half the run belongs to.

        Raises
        ------
        StoreError
            The store doesn't say.
        """
        kind: Kind
        for kind in ("images", "atoms"):
            if self._tree.attrs.get("kind") == kind:
                return kind
        raise StoreError(
            "the store doesn't say whether it holds images or atoms",
            value=self._tree.attrs.get("kind"),
            allowed="images, atoms",
            remedy="It was written by an older version: run again with --fresh, or read it with that version",
        )

    def config(self) -> dict[str, Any]:
        """Return the resolved config of the run."""
        return deepcopy(self._config)

    @cached_property
    def _config(self) -> dict[str, Any]:
        return dict(yaml.safe_load(self._tree.attrs["config"]))

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The analyses of the run with their parameters, in their order.

        Raises
        ------
        StoreError
            This version can't read one of them.
        """
        found = []
        for name, values in self.config()["analyses"].items():
            try:
                found.append(Step(name, registry.get(self.kind, name).params.model_validate(values)))
            except (KeyError, ValueError) as error:
                raise StoreError(
                    f"the run has an analysis that this version can't read: {error}",
                    where=f"analyses.{name}",
                    remedy="Another version wrote the store: read it with that version, or run again with --fresh",
                ) from None
        return tuple(found)

    def params(self, name: str) -> Params | None:
        """Return the parameters of an analysis of the run; None if it isn't part of the run."""
        return next((step.params for step in self.steps if step.name == name), None)

    def declared(self, name: str) -> tuple[Variable, ...]:
        """Return the variables that an analysis of the run declares for the store."""
        every = zip(self.steps, chain.outputs(self.kind, self.steps), strict=True)
        return tuple(v for step, own in every if step.name == name for v in own if v.stored)

    @property
    def n_frames(self) -> int:
        """Number of frames, including those without results."""
        return int(self._tree["frames"].sizes["frame"])

    def good(self) -> Indices:
        """Return the indices of the frames that have results."""
        return np.flatnonzero(self._tree["frames/frame_status"].to_numpy() == FrameStatus.OK)

    def __contains__(self, variable: Variable) -> bool:
        return variable.group in self._tree and variable.name in self._tree[variable.group].variables

    def at(self, group: str, frame: int) -> xr.Dataset:
        """Return a group of one frame, loaded; raise StoreError if the run has no such results."""
        dataset = self._group(group)
        return (dataset.isel(frame=frame) if "frame" in dataset.dims else dataset).load()

    def whole(self, group: str) -> xr.Dataset:
        """Return a group of all frames, loaded; raise StoreError if the run has no such results."""
        return self._group(group).load()

    def read(self, variable: Variable, frame: int | None = None) -> xr.DataArray:
        """Return a variable of one frame or of all, loaded; raise StoreError if the run has no such results."""
        group = self._group(variable.group)
        if variable.name not in group:
            raise StoreError(
                f"the run has no '{variable.name}' in '{variable.group}'", allowed=", ".join(map(str, group.data_vars))
            )
        array = group[variable.name]
        return (array.isel(frame=frame) if frame is not None and "frame" in array.dims else array).load()

    def by_frame(self, variable: Variable) -> xr.DataArray:
        """Return a number of each frame, NaN if a frame has no results."""
        array = self.read(variable)
        good = self._tree["frames/frame_status"].load() == FrameStatus.OK
        return array.where(good).assign_attrs(array.attrs)

    def attributes(self, group: str) -> dict[str, Any]:
        """Return the attributes of a group; none if the run has no such group."""
        return {str(key): value for key, value in self._tree[group].attrs.items()} if group in self._tree else {}

    def source(self) -> ImageSource | AtomsSource | None:
        """Open the input, once; None if it can't be read on this machine."""
        return self._source

    @cached_property
    def _source(self) -> ImageSource | AtomsSource | None:
        if not self._reads_input:
            return None
        section = self.config()["input"]
        for key in ("calibrate_from", "invert"):
            section.pop(key, None)
        path = section.pop("path")
        for meant in self._meant(path):
            try:
                return fenced.open_source(meant, **section, memory=self._memory)
            except (StemdaskError, OSError):
                continue
        return None

    def _meant(self, path: str | list[str]) -> Iterator[str | list[str]]:
        """Yield what a path of the config can mean: seen from where the run was started, from the store, from here.

        The second is for data and results that were moved together.
        """
        items = [path] if isinstance(path, str) else path
        if all(Path(item).expanduser().is_absolute() for item in items):
            yield path
            return
        attributes, store = self._tree.attrs, self._tree.encoding.get("source")
        folders = [Path(attributes[INPUT_DIRECTORY])] if INPUT_DIRECTORY in attributes else []
        if store and INPUT_FROM_STORE in attributes:
            folders.append(Path(store).absolute().parent / attributes[INPUT_FROM_STORE])
        for folder in dict.fromkeys([*folders, Path.cwd()]):
            yield [_under(folder, item) for item in items]

    @property
    def _memory(self) -> int:
        """Bytes that reading the input may take: as much as a frame, where more was allowed to one than usual."""
        allowed = self.config().get("limits", {}).get("frame_memory", "auto")
        return max(fenced.OPENING_MEMORY, allowed) if isinstance(allowed, int) else fenced.OPENING_MEMORY

    def image(self, frame: int) -> ImageFrame | None:
        """Read the image of a frame from the input; None where it can't be read from here."""
        try:
            return self.read_image(frame)
        except (StemdaskError, OSError, IndexError):
            return None

    def read_image(self, frame: int) -> ImageFrame | None:
        """Read the image of a frame from the input, where a damaged file does no harm; None where there are no images.

        Raises
        ------
        InputError
            The file can't be read, or isn't what was opened.
        """
        source = self.source()
        return fenced.read_image(source, frame, memory=self._memory) if isinstance(source, ImageSource) else None

    def needed_image(self, frame: int) -> ImageFrame:
        """Read the image of a frame from the input; raise StoreError if it can't be read on this machine."""
        image = self.image(frame)
        if image is None:
            raise StoreError(
                "the image can't be read on this machine", remedy="Run on a machine that can read the input"
            )
        return image

    def _group(self, group: str) -> xr.Dataset:
        if group not in self._tree:
            raise StoreError(f"the run has no results in '{group}'", allowed=", ".join(sorted(self._tree.children)))
        return self._tree[group].to_dataset()
