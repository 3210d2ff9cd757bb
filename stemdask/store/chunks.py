"""The chunks of one array, read and written without zarr, whose way to a small one takes longer than its bytes."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from itertools import product
from math import prod
from pathlib import Path
from typing import IO, Any

import google_crc32c
import numpy as np
from numcodecs.vlen import VLenUTF8
from numcodecs.zstd import Zstd
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec, VLenUTF8Codec, ZstdCodec

from stemdask.model import Array
from stemdask.store import disk, shards

_ZSTD, _TEXTS = Zstd(), VLenUTF8()
Key = tuple[int, ...]


class Chunks:
    """The chunks of an array, as the layout writes them: compressed, then their checksum; or the shards of such chunks.

    An array that another program has written otherwise is left to zarr.

    Parameters
    ----------
    array
        Opened by zarr.
    store, path
        Where it lies.
    """

    def __init__(self, array: Any, store: Path, path: str) -> None:
        #: Where it lies.
        self.store, self.path = store, path
        self._array, self._folder = array, f"{store}/{path}/c"
        self.shape: tuple[int, ...] = array.shape
        self.size: tuple[int, ...] = array.chunks
        self._dtype: np.dtype[Any] = array.dtype
        #: Whether the layout wrote them, and whether they were joined into shards.
        self.are_ours, self.are_joined = _are_ours(array), array.shards is not None
        self._per_shard = tuple(n // size for n, size in zip(array.shards or self.size, self.size, strict=True))
        self._are_texts = isinstance(array.serializer, VLenUTF8Codec)
        self._zstd = Zstd(array.compressors[0].level, array.compressors[0].checksum) if self.are_ours else _ZSTD
        self._grid = [range(-(-n // size)) for n, size in zip(self.shape, self.size, strict=True)]
        #: Along the first dimension.
        self.rows = self._grid[0] if self._grid else range(1)

    @property
    def chunk_bytes(self) -> int:
        """What a chunk holds before it is compressed."""
        return prod(self.size) * (16 if self._are_texts else self._dtype.itemsize)

    def name(self, key: Key) -> str:
        """Return the path of the file that holds a chunk, within the store."""
        return "/".join([self.path, "c", *map(str, self._file(key))])

    def label(self, key: Key) -> str:
        """Return what a chunk is called: its file, and in a shard its number along the first dimension too."""
        return f"{self.name(key)} [chunk {key[0]}]" if self.are_joined else self.name(key)

    def _file(self, key: Key) -> Key:
        return tuple(k // n for k, n in zip(key, self._per_shard, strict=True)) if self.are_joined else key

    def keys(self, row: int) -> list[Key]:
        """Return the keys of the chunks that lie beside each other along the other dimensions."""
        return list(product([row], *self._grid[1:])) if self.shape else [()]

    def read(self, key: Key) -> Array:
        """Return what a chunk holds, without what lies beyond the array.

        Raises
        ------
        Exception
            Of any type: the file is missing or damaged.
        """
        if not self.are_ours:
            return self._by_zarr(key)
        plain = _ZSTD.decode(_confirmed(self.stored(key)))
        values = _TEXTS.decode(plain) if self._are_texts else np.frombuffer(plain, self._dtype)
        if values.size != prod(self.size):
            raise ValueError("the chunk has the wrong length")
        whole: Array = values.reshape(self.size)
        return whole[tuple(slice(one.stop - one.start) for one in self._place(key))]

    def stored(self, key: Key) -> bytes:
        """Return a chunk as it is on the disk, which need not be sound.

        Raises
        ------
        OSError, ValueError
            It is missing, or the shard that holds it is damaged.
        """
        file = Path("/".join([self._folder, *map(str, self._file(key))]))
        if not self.are_joined:
            return file.read_bytes()
        within = tuple(k % n for k, n in zip(key, self._per_shard, strict=True))
        return shards.read(file, int(np.ravel_multi_index(within, self._per_shard)), prod(self._per_shard))

    def sound(self, key: Key) -> bytes:
        """Return a chunk as it is on the disk.

        Raises
        ------
        OSError, ValueError
            It is missing or damaged.
        """
        data = self.stored(key)
        _confirmed(data)
        return data

    def write(self, row: int, values: Array) -> None:
        """Write the chunks that lie beside each other; each is there whole or not at all, fill values too.

        Raises
        ------
        OSError
            The file system refused; what was there before still is.
        """
        if not self.are_ours or self.are_joined:
            self._array[self._place((row, *(0 for _ in self.shape[1:])))[0]] = values
            return
        for key in self.keys(row):
            self._put(key, values[(slice(None), *self._place(key)[1:])])

    def _put(self, key: Key, part: Array) -> None:
        if part.shape != self.size:  # beyond the array a chunk holds fill values
            whole = np.full(self.size, self._array.fill_value, self._dtype)
            whole[tuple(map(slice, part.shape))] = part
            part = whole
        plain = _TEXTS.encode(part.astype(object)) if self._are_texts else np.ascontiguousarray(part, self._dtype)
        packed = bytes(self._zstd.encode(plain))
        place = Path("/".join([self._folder, *map(str, key)]))
        new = place.with_name(f"{place.name}.{disk.writer()}.partial")
        try:
            with _created(new) as file:
                file.write(packed + google_crc32c.value(packed).to_bytes(4, "little"))
            new.replace(place)
        except BaseException:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            raise

    def joined(self, row: int, parts: Sequence[Array]) -> Array:
        """Return chunks that lie beside each other as one array, in the order of their keys."""
        if len(parts) == 1:
            return parts[0]
        first = self._place((row, *(0 for _ in self.shape[1:])))[0]
        found = np.empty((first.stop - first.start, *self.shape[1:]), parts[0].dtype if parts else self._dtype)
        for key, part in zip(self.keys(row), parts, strict=True):
            found[(slice(None), *self._place(key)[1:])] = part
        return found

    def _place(self, key: Key) -> tuple[slice, ...]:
        return tuple(
            slice(k * size, min((k + 1) * size, n)) for k, size, n in zip(key, self.size, self.shape, strict=True)
        )

    def _by_zarr(self, key: Key) -> Array:
        if not Path("/".join([self._folder, *map(str, self._file(key))])).is_file():
            raise ValueError("it is missing, and would read as fill values")
        return np.asarray(self._array[self._place(key)])


def _confirmed(data: bytes) -> bytes:
    """Return a chunk without the checksum at its end, which it has."""
    packed, checksum = data[:-4], data[-4:]
    if not packed or google_crc32c.value(packed) != int.from_bytes(checksum, "little"):
        raise ValueError("the checksum doesn't match the bytes")
    return packed


def _created(path: Path) -> IO[bytes]:
    """Open a new file; only the first of its folder waits for that to be made."""
    try:
        return path.open("wb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb")


def _are_ours(array: Any) -> bool:
    """Tell whether chunks, or those within shards, are encoded as the layout does it."""
    compressed = tuple(map(type, array.compressors)) == (ZstdCodec, Crc32cCodec)
    plain = isinstance(array.serializer, VLenUTF8Codec) or _is_native(array.serializer)
    return plain and compressed and not array.filters and (array.shards is None or _has_index_at_end(array))


def _has_index_at_end(array: Any) -> bool:
    sharding: ShardingCodec = array.metadata.codecs[0]
    index = sharding.index_codecs
    checked = tuple(map(type, index)) == (BytesCodec, Crc32cCodec) and _is_native(index[0])
    return checked and sharding.index_location.value == "end"


def _is_native(codec: Any) -> bool:
    endian = getattr(codec, "endian", None)
    return isinstance(codec, BytesCodec) and str(getattr(endian, "value", endian or "little")) == sys.byteorder
