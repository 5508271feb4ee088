"""Properties of the machine that a result depends on: the GPU, the driver, versions, the commit."""

import functools
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = "ELBO_CUDA_LIBRARIES"  # folders that elbo searches for cuBLASLt and cuDNN
PYTHON_SECONDS = 180  # the first import of torch on a cold machine reads gigabytes

# NVIDIA's wheels install their libraries in site-packages/nvidia/*/lib.
FACTS = """
import importlib, json, platform
from pathlib import Path
versions = {"python": platform.python_version()}
for name in ("torch", "jax", "numpy"):
    try:
        versions[name] = importlib.import_module(name).__version__
    except Exception as error:
        versions[name] = None
folders = []
try:
    for root in importlib.import_module("nvidia").__path__:
        files = sorted(Path(root).glob("*/lib/lib*.so*"))
        wanted = [f for f in files if f.name.startswith(("libcublasLt.so", "libcudnn.so"))]
        folders += [str(f.parent) for f in wanted]
except ImportError:
    pass
print(json.dumps({"versions": versions, "libraries": list(dict.fromkeys(folders))}))
"""


def output_of(*command, seconds: float = 60) -> str | None:
    """Returns the standard output of a command; None if it is missing, fails or takes longer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def gpu() -> dict | None:
    """Returns the name of the first GPU, the driver, and the newest CUDA version it supports."""
    query = ("--query-gpu=name,driver_version", "--format=csv,noheader")
    first = (output_of("nvidia-smi", *query) or "").partition("\n")[0]
    if "," not in first:
        return None
    name, driver = (part.strip() for part in first.split(",")[:2])
    cuda = re.search(r"CUDA Version:\s*([\d.]+)", output_of("nvidia-smi") or "")
    return {"gpu": name, "driver": driver, "cuda": cuda.group(1) if cuda else None}


@functools.cache
def python_facts(python: str) -> dict:
    """Returns `versions` of the frameworks of this Python (None if one cannot be imported) and
    `libraries`, the folders of its cuBLASLt and cuDNN. Both are empty if Python does not run."""
    found = output_of(python, "-c", FACTS, seconds=PYTHON_SECONDS)
    return json.loads(found) if found else {"versions": {}, "libraries": []}


def offer_libraries(python: str) -> str:
    """Lets elbo search this Python's folders for its libraries, unless the environment variable is
    set already. Returns the value of the variable."""
    folders = os.environ.setdefault(LIBRARIES, ":".join(python_facts(python)["libraries"]))
    return folders


def manifest(build: Path) -> dict | None:
    """Returns the manifest of an unpacked archive; None for a build folder."""
    path = build / "manifest.json"
    return json.loads(path.read_text()) if path.exists() else None


def programs(build: Path) -> dict[str, Path]:
    """Returns the paths of the programs by name, from CMake's list or the archive's folder bin."""
    if (listed := build / "programs.json").exists():
        return {name: build / path for name, path in json.loads(listed.read_text()).items()}
    if manifest(build) is not None:
        return {path.name: path for path in (build / "bin").iterdir()}
    return {}


def commit(build: Path) -> str | None:
    """Returns the commit of the archive or of the sources, with -dirty if files differ from it.
    RESULTS.md may differ."""
    if (packed := manifest(build)) is not None:
        return packed.get("commit")
    git = ("git", "-C", str(ROOT))
    head = output_of(*git, "rev-parse", "--short=10", "HEAD")
    if not head:
        return None
    others = output_of(*git, "status", "--porcelain", "-uno", "--", ".", ":!bench/RESULTS.md")
    return head + ("-dirty" if others else "")


def sanitizer() -> str | None:
    """Returns the path of compute-sanitizer, from PATH or the CUDA toolkit; None if not found."""
    toolkit = Path(os.environ.get("CUDA_HOME", "/usr/local/cuda"))
    return shutil.which("compute-sanitizer") or shutil.which(
        "compute-sanitizer", path=toolkit / "bin"
    )
