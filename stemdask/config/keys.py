"""The sections that a user may write, each key with its meaning, and the complete config as YAML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from stemdask.config import yaml_lines
from stemdask.config.clusters import Auto, Cluster
from stemdask.config.section import Section
from stemdask.config.values import FrameRange, Memory
from stemdask.model import Kind, Step
from stemdask.units import Length, LengthAngstrom, LengthNm


def _auto(cluster: object) -> object:
    return {"kind": "auto", **cluster} if isinstance(cluster, dict) else cluster


class Calibration(Section):
    """A known length from which the pixel size of images, or the scale of structures, is found."""

    a: LengthAngstrom | None = None
    """Lattice constant of the A sublattice; for images."""
    nearest_neighbour: LengthAngstrom | None = None
    """Mean distance of nearest neighbours; for structures."""

    @model_validator(mode="after")
    def _one(self) -> Calibration:
        if (self.a is None) == (self.nearest_neighbour is None):
            raise ValueError("takes one length: a for images, or nearest_neighbour for structures")
        return self


class Input(Section):
    """What to read."""

    path: str | list[str]
    """A file, a folder, a glob or a list of them; read in natural order."""
    kind: Kind | None = None
    """images or atoms; guessed from the suffix if absent."""
    pixel_size: LengthNm | None = None
    """Size of a pixel, overriding that in the file ('0.0297 nm')."""
    scale: LengthAngstrom | None = None
    """Length of one unit of the coordinates, if not an angstrom, such as '1 nm' or a voxel's edge; for structures."""
    calibrate_from: Calibration | None = None
    """Derive the pixel size or the scale from a known length."""
    invert: Literal["auto"] | bool = "auto"
    """Whether columns are dark (ABF, bright field) and the contrast is to be inverted; auto: decided from the images.
    The same as `invert` of `preprocess`. For images."""
    frames: FrameRange = None
    """Subset of the frames as 'start:stop', such as '0:100' for the first hundred."""
    elements: dict[str, str] | None = None
    """Element for each name that the files use, such as {W: Pt, 1: Pt}; for structures."""

    @field_validator("elements", mode="before")
    @classmethod
    def _of_types(cls, elements: object) -> object:
        """Take the number of a type for its name, as YAML has it without quotes."""
        if not isinstance(elements, dict):
            return elements
        return {str(name) if type(name) is int else name: element for name, element in elements.items()}

    @field_validator("scale")
    @classmethod
    def _is_length(cls, scale: Length | None) -> Length | None:
        if scale is not None and not scale.angstrom() > 0:
            raise ValueError(f"the length of a unit must be positive, got {scale}")
        return scale


class LimitsSection(Section):
    """What one frame may use, and when a run gives up."""

    frame_seconds: Literal["auto"] | Annotated[float, Field(gt=0, le=86_400)] = "auto"
    """Time limit for one frame, s; auto: 20 times that of the frames tried during planning, at least 60 s."""
    frame_memory: Literal["auto"] | Memory = "auto"
    """Memory limit for one frame, such as '2 GiB'; auto: 100 times its input, at least 2 GiB."""
    max_failed: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Stop the run when more than this fraction of all frames has failed."""
    isolate: bool = True
    """Analyse frames in a helper process, so that a bad one harms only itself."""


class Config(Section):
    """A complete config."""

    input: Input
    """What to read."""
    output: str
    """The zarr store to write; a store that stemdask has begun is resumed."""
    analyses: dict[str, dict[str, Any]] | None = None
    """Analyses to run, each with its parameters; {} = defaults; absent = the default analyses for the kind."""
    cluster: Annotated[Cluster, BeforeValidator(_auto)] = Auto()
    """Where the blocks are processed; auto if no kind is given."""
    limits: LimitsSection = LimitsSection()
    """What one frame may use, and when a run gives up."""
    block_frames: Literal["auto"] | Annotated[int, Field(ge=1, le=1_000_000)] = "auto"
    """Frames per block (a chunk of the store); auto: from the size and the number of frames."""

    @field_validator("analyses", mode="before")
    @classmethod
    def _each_has_parameters(cls, analyses: object) -> object:
        if isinstance(analyses, list | str):
            raise ValueError("must be a mapping of analyses, each with its parameters, such as 'columns: {}'")
        return analyses


def to_yaml(config: Config, steps: Sequence[Step]) -> str:
    """Write a complete config, including every default."""
    unsettled = {"invert"} if config.input.invert == "auto" else set()  # structures have no contrast
    data = config.model_dump(mode="json", exclude={"analyses": True, "input": unsettled}, exclude_none=True)
    data["analyses"] = {step.name: step.params.model_dump(mode="json") for step in steps}
    order = [key for key in Config.model_fields if key in data]
    return yaml_lines.dump({key: data[key] for key in order})
