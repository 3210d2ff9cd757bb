"""Where a store may be put: never over something that stemdask didn't make, never half made."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from stemdask._version import __version__
from stemdask.errors import StorageError, StoreError
from stemdask.store import lock, metadata
from stemdask.store.disk import REFUSED, patiently, sync_file_system
from stemdask.store.layout import open_group, run_directory

#: What a store is called, in the run directory, from when another one takes its place until that is done.
_REPLACED = "replaced.zarr"
#: Looks for a store that is being put there, 50 ms apart; its driver may have been killed in between.
_LOOKS = 20


def path_of(text: str) -> Path:
    """Return the absolute path of a store as a user names it.

    Raises
    ------
    StoreError
        No path can be called so.
    """
    try:
        path = Path(text).expanduser().absolute()
        path.exists()
        run_directory(path).exists()
        if "\0" in text:
            raise ValueError("a path can't hold a NUL character")
    except (OSError, ValueError, RuntimeError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        shown = text if len(text) < 100 else text[:99] + "…"
        raise StoreError(
            f"the output can't be written here: {said}", where=shown, remedy="Choose another output"
        ) from None
    return path


def missing_folders(store: Path) -> tuple[Path, ...]:
    """Return the run directory of a store and the folders above it, as far as there are none."""
    directory = run_directory(store)
    return tuple(folder for folder in (directory, *directory.parents) if not folder.exists())


@contextlib.contextmanager
def left_as_found(store: Path, missing: Sequence[Path]) -> Iterator[None]:
    """Remove the folders that were missing where no store came of them: a refused run leaves nothing behind.

    To be entered by who holds the lock of the run directory.
    """
    try:
        yield
    except BaseException:
        if missing and not store.exists():
            shutil.rmtree(missing[0], ignore_errors=True)
            with contextlib.suppress(OSError):
                for folder in missing[1:]:
                    folder.rmdir()
        raise


def is_there(path: Path) -> bool:
    """Tell whether anything is at `path`; nothing is where no file can be called so."""
    try:
        path.lstat()
    except ValueError:  # NUL
        return False
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP):
            return False
        raise
    return True


def is_store(path: Path) -> bool:
    """Tell whether stemdask made what is at `path`."""
    return is_there(path) and not path.is_symlink() and metadata.is_known(path)


def is_readable(path: Path) -> bool:
    """Tell whether there is a store at `path`; wait for one that a driver is just putting in the place of another."""
    for _ in range(_LOOKS):
        if is_store(path):
            return True
        with contextlib.suppress(OSError):  # the run directory of another user, or a name that is too long
            if (run_directory(path) / _REPLACED).exists():
                time.sleep(0.05)
                continue
        break
    return is_store(path)


def check_store(path: Path) -> None:
    """Refuse what can't be read as a store.

    A driver at work repairs the metadata before it begins, and writes those of a group before the root's: until then
    the two disagree, which is no damage.

    Raises
    ------
    StoreError
        Nothing is there, or nothing that stemdask made, or its metadata are damaged.
    """
    if not is_readable(path):
        raise StoreError(
            "this is not a store that stemdask made" if is_there(path) else "there is no store here",
            where=path,
            remedy="Name the .zarr folder that 'stemdask run' wrote; if this is it, run again with --fresh",
        )
    being_written = _damaged(path) and lock.holder(run_directory(path)) is not None
    if not being_written and (damaged := _damaged(path)):  # a driver may have ended between two looks
        raise StoreError(
            f"its metadata are damaged: {', '.join(damaged[:3])}",
            where=path,
            remedy=f"Run 'stemdask verify {path} --repair', which restores them",
        )


def _damaged(path: Path) -> tuple[str, ...]:
    known = metadata.read(path)
    return known.damaged if known is not None else ()


def is_taken(path: Path) -> bool:
    """Tell whether there is a store of ours at `path`; refuse anything else that is there.

    Raises
    ------
    StoreError
        Something that stemdask didn't make is there, or its place can't hold a store.
    """
    if is_store(path):
        return True
    if path.is_symlink() or (path.exists() and not (path.is_dir() and not any(path.iterdir()))):
        raise StoreError(
            "this is not a store that stemdask made, and stemdask overwrites nothing else",
            where=path,
            remedy="Choose another output",
        )
    directory = run_directory(path)
    if directory.exists() and not (directory.is_dir() and not directory.is_symlink()):
        raise StoreError("the run directory can't be created here", where=directory, remedy="Choose another output")
    return False


def open_run_directory(store: Path) -> Path:
    """Make the run directory of a store, readable by its owner alone, and return it."""
    directory = run_directory(store)

    def make() -> None:
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)

    try:
        patiently(make, directory)
    except StorageError as error:
        cause = error.__cause__
        if not isinstance(cause, OSError) or cause.errno in REFUSED:
            raise
        raise StoreError(
            f"the output can't be written here: {cause.strerror}", where=directory, remedy="Choose another output"
        ) from cause
    return directory


def install(make: Callable[[Path], None], store: Path) -> None:
    """Make a store in the run directory and rename it to its place, so that a half-made one is never seen."""
    new = run_directory(store) / "new.zarr"
    _remove(new)
    make(new)
    sync_file_system(new)
    new.rename(store)
    sync_file_system(store)


def replace(make: Callable[[Path], None], store: Path) -> None:
    """Make a store and put it in the place of the one that is there, which is then removed.

    Where that fails the old one is in its place, and nothing is left of the other, which may have filled the disk.
    """
    new, old = run_directory(store) / "new.zarr", run_directory(store) / _REPLACED
    _remove(new)
    try:
        make(new)
        sync_file_system(new)
        store.rename(old)
        new.rename(store)
    except BaseException:
        with contextlib.suppress(OSError):
            _undo(store)
        raise
    sync_file_system(store)
    _remove(old)


def recover(store: Path, *, sweep: bool) -> None:
    """Undo a replacement that was interrupted; sweep what killed writers left, where no other one is at work."""
    directory = run_directory(store)
    _undo(store)
    if sweep:
        for left in directory.glob("scratch-*"):
            _remove(left)
        sweep_partial(store)
    metadata.mend(store)
    if sweep:
        metadata.renew_copy(store)


def _undo(store: Path) -> None:
    """Put back the store that another one was to replace, where that isn't there, and remove what was begun."""
    old = run_directory(store) / _REPLACED
    if is_store(old) and not store.exists():
        old.rename(store)
    _remove(old)
    _remove(run_directory(store) / "new.zarr")


def sweep_partial(store: Path) -> None:
    """Remove what killed writers left of files, in a store and its run directory.

    Raises
    ------
    StoreError
        A link lies in the store: what is written through it would land in somebody else's folder.
    """
    left = [*run_directory(store).glob("*.partial")]
    for folder, folders, files in os.walk(store) if is_store(store) else ():
        for name in folders:
            if (link := Path(folder, name)).is_symlink():
                raise StoreError(
                    "a link lies in the store, and nothing is written through links",
                    where=link,
                    value=str(link.readlink()),
                    remedy="Put the folder that it leads to in its place",
                )
        left += [Path(folder, name) for name in files if name.endswith(".partial")]
    for file in left:
        file.unlink(missing_ok=True)


def move_aside(store: Path) -> Path:
    """Move a store out of the way; return where it is now."""
    number = 1
    while (target := store.with_name(f"{store.name}.old-{number}")).exists():
        number += 1
    store.rename(target)
    return target


def check_same(store: Path, fingerprint: str, config: str) -> None:
    """Refuse to mix two configs or two inputs in one store.

    Raises
    ------
    StoreError
        Names the keys that changed.
    """
    attributes = open_group(store).attrs
    if attributes.get("fingerprint") == fingerprint:
        return
    changed = _changed(attributes, config)
    raise StoreError(
        f"the store was made from {'other input' if changed == ['input'] else 'another config'}; "
        f"changed: {', '.join(changed)}",
        where=store,
        remedy="Choose another output, or start over with --fresh (the old store is kept beside it)",
    )


def _changed(attributes: Mapping[str, Any], config: str) -> list[str]:
    then = now = None
    with contextlib.suppress(yaml.YAMLError):
        then, now = yaml.safe_load(str(attributes.get("config"))), yaml.safe_load(config)
    before, after = _flat(then), _flat(now)
    ignored = ("output", "cluster", "limits")
    keys = sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))
    found = [key for key in keys if key.partition(".")[0] not in ignored]
    if attributes.get("stemdask_version") != __version__:
        found.append(f"stemdask_version ({attributes.get('stemdask_version')} -> {__version__})")
    return found or ["input"]


def _flat(data: object, prefix: str = "") -> dict[str, object]:
    if not isinstance(data, Mapping):
        return {prefix: data}
    found: dict[str, object] = {}
    for key, value in data.items():
        found |= _flat(value, f"{prefix}.{key}" if prefix else str(key))
    return found


def _remove(path: Path) -> None:
    """Remove a directory of ours inside the run directory."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
