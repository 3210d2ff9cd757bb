"""`xr.open_dataset("stack.dm4", engine="stemdask", chunks={})`: images as a lazy xarray dataset."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import xarray as xr
from xarray.backends import BackendEntrypoint

from stemdask.sources.images import open_image_files
from stemdask.sources.paths import FORMATS, find_files
from stemdask.sources.xarray_view import image_dataset


class StemdaskBackend(BackendEntrypoint):
    """xarray engine for every image format that stemdask reads."""

    description = "Stacks of STEM images (dm3, dm4, hspy, emd, tif, mrc, ser, png, npy, zarr)"
    open_dataset_parameters = ("filename_or_obj", "drop_variables", "pixel_size")

    def open_dataset(  # type: ignore[override]
        self,
        filename_or_obj: str | Path | list[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        pixel_size: float | None = None,
    ) -> xr.Dataset:
        """Open images; `pixel_size` in nm overrides the file."""
        _, fmt, files = find_files(filename_or_obj, "images")
        dataset = image_dataset(open_image_files(files, fmt, pixel_size=pixel_size))
        dropped = [drop_variables] if isinstance(drop_variables, str) else list(drop_variables or ())
        return dataset.drop_vars(dropped)

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Tell by the suffix; zarr and HDF5 are left to xarray's own engines unless named."""
        if not isinstance(filename_or_obj, str | Path):
            return False
        suffix = Path(filename_or_obj).suffix.lower()
        return suffix in FORMATS["images"] and suffix not in (".zarr", ".png", ".npy")
