"""What a result is good for: the GPU, the driver, the versions and the commit it was made with."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = """
import importlib, json, platform
found = {"python": platform.python_version()}
for name in ("torch", "jax", "numpy"):
    try:
        found[name] = importlib.import_module(name).__version__
    except Exception as error:
        found[name] = None
print(json.dumps(found))
"""


def output_of(*command) -> str | None:
    """What a command prints; nothing where it is not there, fails or takes more than a minute."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def gpu() -> dict | None:
    """The first GPU's name, its driver, and the newest CUDA that this knows."""
    query = ("--query-gpu=name,driver_version", "--format=csv,noheader")
    first = (output_of("nvidia-smi", *query) or "").partition("\n")[0]
    if "," not in first:
        return None
    name, driver = (part.strip() for part in first.split(",")[:2])
    cuda = re.search(r"CUDA Version:\s*([\d.]+)", output_of("nvidia-smi") or "")
    return {"gpu": name, "driver": driver, "cuda": cuda.group(1) if cuda else None}


def versions(python: str) -> dict:
    """Versions of the frameworks this Python has; None for one that cannot be imported."""
    found = output_of(python, "-c", VERSIONS)
    return json.loads(found) if found else {}


def commit() -> str | None:
    """Of the sources, with -dirty where files differ from it; results do not count."""
    git = ("git", "-C", str(ROOT))
    head = output_of(*git, "rev-parse", "--short=10", "HEAD")
    if not head:
        return None
    others = output_of(*git, "status", "--porcelain", "-uno", "--", ".", ":!bench/RESULTS.md")
    return head + ("-dirty" if others else "")


def sanitizer() -> str | None:
    """compute-sanitizer, on PATH or in the CUDA toolkit."""
    toolkit = Path(os.environ.get("CUDA_HOME", "/usr/local/cuda"))
    return shutil.which("compute-sanitizer") or shutil.which(
        "compute-sanitizer", path=toolkit / "bin"
    )
