"""Shared libraries of programs: finds the needed ones, and checks that a folder contains them."""

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from gpu_check.command import Problem

# Libraries of the smallest Debian and Ubuntu images. The C library works only with its own loader.
# CUDA's libraries also load the C++ runtime, and may need a newer version than ours.
BASE = frozenset(
    ("ld-linux-x86-64.so.2", "libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6")
    + ("libmvec.so.1", "libpthread.so.0", "librt.so.1", "libstdc++.so.6")
)


def output_of(*command, **options) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, **options)
    except OSError as error:
        raise Problem(f"{command[0]}: {error.strerror}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise Problem(f"{' '.join(map(str, command))}: {said}")
    return done.stdout


def closure(files: Iterable[Path], folder: Path | None = None) -> dict[str, Path]:
    """Returns name and path of each library outside BASE that the files load, directly or
    indirectly. Also searches `folder`."""
    environment = dict(os.environ)
    if folder:
        environment["LD_LIBRARY_PATH"] = str(folder)
    found = {}
    for file in files:
        for line in output_of("ldd", file, env=environment).splitlines():
            match = re.match(r"\s*(\S+) => (/\S+|not found)", line)
            if not match or match[1] in BASE:
                continue
            name, path = match.groups()
            if path == "not found":
                raise Problem(f"{file}: its library {name} is not installed here")
            found[name] = Path(path)
    return found


def dynamic_entries(file: Path, tags: str) -> list[str]:
    """Returns the values of the entries in a file's dynamic section whose tag matches `tags`."""
    section = output_of("readelf", "--dynamic", "--wide", file)
    return re.findall(rf"\((?:{tags})\).*\[(.*)\]", section)


def unresolved(programs: Iterable[Path], libraries: Path) -> list[str]:
    """Returns one line for each library that a program or a library in the folder needs, if it is
    neither in BASE nor in the folder."""
    packed = sorted(libraries.iterdir())
    known = BASE | {path.name for path in packed}
    return [
        f"{file.name} needs {name}"
        for file in (*programs, *packed)
        for name in dynamic_entries(file, "NEEDED")
        if name not in known
    ]


def foreign_run_paths(files: Iterable[Path]) -> list[str]:
    """Returns one line for each run path that leads out of the archive."""
    return [
        f"{file.name} has the run path {path}"
        for file in files
        for path in dynamic_entries(file, "RPATH|RUNPATH")
        if not all(part.startswith("$ORIGIN") for part in path.split(":"))
    ]


def needed_versions(files: Iterable[Path]) -> dict[str, str]:
    """Returns, for each interface of the libraries in BASE, the newest version the files need."""
    newest = {}
    for file in files:
        for name, version in re.findall(
            r"Name: (GLIBC|GLIBCXX|CXXABI|GCC)_([\d.]+)", output_of("readelf", "-VW", file)
        ):
            numbers = tuple(map(int, version.split(".")))
            newest[name] = max(newest.get(name, ()), numbers)
    return {name: ".".join(map(str, numbers)) for name, numbers in sorted(newest.items())}
