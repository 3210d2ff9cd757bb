"""The time of a plan of many files where each operation of the file system takes a while, as on a network.

    python benchmarks/many_files.py [--files 100000] [--milliseconds 1]

Frames of one file each, structures of four atoms and images of 64². A preloaded library delays, and counts, what a
network file system has to ask its server of a file: to open it, its status by name, and each read that returns data.
Listing the folder isn't delayed, nor the status of a file that is open, nor what the C library reads for itself.
"""

from __future__ import annotations

import argparse
import ctypes
import io
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from whole_run import HERE, SUBREAPER, spent

from stemdask import simulate

#: Each call for a file below SLOW_FOLDER waits for SLOW_NS nanoseconds and is counted in SLOW_COUNT, for all processes.
LIBRARY = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *folder;
static size_t length;
static long nanoseconds;
static long *count;
static char slow[1 << 16];

static int (*next_open)(int, const char *, int, ...);

__attribute__((constructor)) static void begin(void) {
    next_open = dlsym(RTLD_NEXT, "openat");
    folder = getenv("SLOW_FOLDER");
    length = strlen(folder);
    nanoseconds = atol(getenv("SLOW_NS"));
    int file = next_open(AT_FDCWD, getenv("SLOW_COUNT"), O_RDWR);
    count = mmap(0, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
}

static void wait_for(int asked) {
    if (!asked) return;
    struct timespec left = {0, nanoseconds};
    __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
    while (nanosleep(&left, &left)) {}
}

static int below(const char *path) {
    return folder && path && !strncmp(path, folder, length) && path[length] == '/';
}

static int is_slow(int file) { return file >= 0 && file < (int)sizeof slow && slow[file]; }

static int opened(int place, const char *path, int flags, mode_t mode) {
    wait_for(below(path));
    int file = next_open(place, path, flags, mode);
    if (file >= 0 && file < (int)sizeof slow) slow[file] = below(path);
    return file;
}

static mode_t mode_of(int flags, va_list rest) { return flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; }

int close(int file) {
    static int (*next)(int);
    if (!next) next = dlsym(RTLD_NEXT, "close");
    if (file >= 0 && file < (int)sizeof slow) slow[file] = 0;
    return next(file);
}

#define OPEN(name) int name(const char *path, int flags, ...) { \
    va_list rest; va_start(rest, flags); mode_t mode = mode_of(flags, rest); va_end(rest); \
    return opened(AT_FDCWD, path, flags, mode); }
#define OPENAT(name) int name(int place, const char *path, int flags, ...) { \
    va_list rest; va_start(rest, flags); mode_t mode = mode_of(flags, rest); va_end(rest); \
    return opened(place, path, flags, mode); }
#define CALL(type, name, asked, taken, given) type name taken { \
    static type (*next) taken; \
    if (!next) next = dlsym(RTLD_NEXT, #name); \
    wait_for(asked); \
    return next given; }
#define READ(name, taken, given) ssize_t name taken { \
    static ssize_t (*next) taken; \
    if (!next) next = dlsym(RTLD_NEXT, #name); \
    ssize_t found = next given; \
    wait_for(found > 0 && is_slow(file)); \
    return found; }

OPEN(open) OPEN(open64) OPENAT(openat) OPENAT(openat64)
CALL(int, stat, below(path), (const char *path, struct stat *found), (path, found))
CALL(int, stat64, below(path), (const char *path, struct stat64 *found), (path, found))
CALL(int, lstat, below(path), (const char *path, struct stat *found), (path, found))
CALL(int, lstat64, below(path), (const char *path, struct stat64 *found), (path, found))
CALL(int, fstatat, below(path), (int place, const char *path, struct stat *found, int flags),
     (place, path, found, flags))
CALL(int, fstatat64, below(path), (int place, const char *path, struct stat64 *found, int flags),
     (place, path, found, flags))
CALL(int, access, below(path), (const char *path, int mode), (path, mode))
READ(read, (int file, void *into, size_t size), (file, into, size))
READ(pread, (int file, void *into, size_t size, off_t at), (file, into, size, at))
READ(pread64, (int file, void *into, size_t size, off64_t at), (file, into, size, at))
"""


class Slow(NamedTuple):
    """A plan of files that answer late."""

    wall: float
    cpu: float
    operations: float
    """Of a file."""


def structures(folder: Path, n_files: int) -> str:
    """Write structures of four atoms, a file each; return what names them."""
    shifts = np.random.default_rng(0).normal(0, 0.05, (n_files, 4, 3))
    positions = np.array([[0, 0, 0], [2.8, 0, 0], [0, 2.8, 0], [0, 0, 2.8]]) + shifts
    for number, atoms in enumerate(positions):
        lines = "".join(f"Pt {x:.4f} {y:.4f} {z:.4f}\n" for x, y, z in atoms)
        (folder / f"{number:06d}.xyz").write_text(f"4\n\n{lines}")
    return str(folder / "*.xyz")


def images(folder: Path, n_files: int) -> str:
    """Write images, a file each; return what names them."""
    written = io.BytesIO()
    np.save(written, simulate.perovskite((64, 64), 12.0, sigma_a=2.0, sigma_b=2.0, seed=1)[0].astype(np.float32))
    for number in range(n_files):
        (folder / f"{number:06d}.npy").write_bytes(written.getvalue())
    return str(folder / "*.npy")


#: File that holds the number of operations.
COUNT = "count"
HALVES = {"structures": structures, "images": images}


def late(files: Path, milliseconds: float, folder: Path) -> dict[str, str]:
    """Compile what delays the file system in a folder; return the variables that have a process wait for its files."""
    (folder / "slow.c").write_text(LIBRARY)
    command = ["cc", "-O2", "-shared", "-fPIC", "-o", str(folder / "slow.so"), str(folder / "slow.c"), "-ldl"]
    subprocess.run(command, check=True)
    (folder / COUNT).write_bytes(bytes(8))
    return {
        "LD_PRELOAD": str(folder / "slow.so"),
        "SLOW_FOLDER": str(files),
        "SLOW_NS": str(round(1e6 * milliseconds)),
        "SLOW_COUNT": str(folder / COUNT),
    }


def counted(folder: Path) -> int:
    """Return the operations that were delayed."""
    return int.from_bytes((folder / COUNT).read_bytes(), sys.byteorder)


def planned(named: str, n_files: int, milliseconds: float, folder: Path) -> Slow:
    """Return what `stemdask plan` takes of files, with each operation delayed."""
    variables = late(Path(named).parent, milliseconds, folder)
    took = spent([sys.executable, "-m", "stemdask", "plan", named, "-o", str(folder / "plan.zarr")], HERE, **variables)
    return Slow(took.wall, took.cpu, counted(folder) / n_files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--milliseconds", type=float, default=1.0)
    asked = parser.parse_args()
    ctypes.CDLL(None).prctl(SUBREAPER, 1)
    for half, write in HALVES.items():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "files").mkdir()
            named = write(folder / "files", asked.files)
            found = planned(named, asked.files, asked.milliseconds, folder)
            print(f"{half:12s} {found.wall:7.1f} s, {found.cpu:.1f} CPU-s, {found.operations:.2f} operations per file")


if __name__ == "__main__":
    main()
