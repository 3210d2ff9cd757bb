"""`xr.open_dataset("stack.dm4", engine="stemdask", chunks={})`: images or structures as a lazy xarray dataset."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import xarray as xr
from xarray.backends import BackendEntrypoint

from stemdask.sources.formats import ATOMS, IMAGES, claiming
from stemdask.sources.images.source import ImageSource
from stemdask.sources.opening import open_source
from stemdask.sources.xarray_view import atoms_dataset, image_dataset


class StemdaskBackend(BackendEntrypoint):
    """xarray engine for every format that stemdask reads."""

    description = f"Stacks of STEM images ({', '.join(IMAGES)}) and atomic structures ({', '.join(ATOMS)})"
    open_dataset_parameters = ("filename_or_obj", "drop_variables", "pixel_size")

    def open_dataset(  # type: ignore[override]
        self,
        filename_or_obj: str | Path | list[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        pixel_size: float | None = None,
    ) -> xr.Dataset:
        """Open images or structures; `pixel_size` in nm overrides that of the images."""
        source = open_source(filename_or_obj, pixel_size=pixel_size)
        dataset = image_dataset(source) if isinstance(source, ImageSource) else atoms_dataset(source)
        dropped = [drop_variables] if isinstance(drop_variables, str) else list(drop_variables or ())
        return dataset.drop_vars(dropped)

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Tell by the suffix; zarr and HDF5 are left to xarray's own engines unless named."""
        if not isinstance(filename_or_obj, str | Path):
            return False
        known = claiming(filename_or_obj)
        return bool(known) and not any(fmt.general or fmt.incidental for _, fmt in known)
