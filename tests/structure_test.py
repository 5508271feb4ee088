#!/usr/bin/env python3
"""Checks the shape of the sources: who includes whom, that every header compiles alone, that files
stay readable, that the paths the guides name exist, and that their links and quotations are right.

    structure_test.py ROOT COMPILER
"""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

MOST_LINES = 450
MOST_COLUMNS = 100
CODE = {".hpp", ".cpp", ".cu", ".cuh"}
HOST_ORDER = ["io", "settings", "data", "nn", "model", "train", "analysis", "measure", "cli"]
CUDA_HEADERS = re.compile(r"cuda|cublas|curand\.h$|curand_|cudnn|device_launch")
FORMATTED = "host/io/formatted.hpp"  # libfmt for sources alone: no user's compiler sees it
EMULATED_LANGUAGE = ("kernels/cuda/port.cuh", "cuda_emulation/cuda_language.hpp")
# What marks functions for the GPU, and a number type; they include nothing else.
PORTABLE = ("kernels/math/portable.hpp", "kernels/math/bfloat16.hpp")
YET_TO_BE_WRITTEN = {  # by the readers of CONTRIBUTING.md and docs/hostile-input.md
    "kernels/math/likelihood/poisson.hpp", "tests/fuzz/regressions/TARGET"}  # fmt: skip
QUOTED = "// from "  # the first line of a block of code in a guide that is copied from a file
LINK = re.compile(r"\]\(([^()\s]+)\)")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def folder(path):
    return path.rpartition("/")[0]


def may_include(source, target):
    """Whether the project's file `source` may include the project's file `target`."""
    within = folder(source)
    if source.startswith("kernels/"):
        if (source, target) == EMULATED_LANGUAGE:
            return True
        if within.startswith("kernels/math"):
            return target.startswith("kernels/math/")
        if within == "kernels/core":
            return target.startswith("kernels/core/") or target in PORTABLE
        if within == "kernels":
            return folder(target) in ("kernels", "kernels/core") or folder(target).startswith(
                "kernels/math"
            )
        beside = "kernels/cuda" if within == "kernels/cpu" else "kernels/cpu"
        return target.startswith("kernels/") and not target.startswith(beside)
    if source.startswith("host/"):
        if target.startswith("kernels/"):
            return target.endswith(".hpp") and not re.match("kernels/(cpu|cuda)/", target)
        below = HOST_ORDER[: HOST_ORDER.index(within.split("/")[1]) + 1]
        return target.startswith(tuple(f"host/{name}/" for name in below))
    if source.startswith("include/"):
        return target.startswith(("host/", "kernels/")) and "host/cli" not in target
    return True


def check_includes(root, source):
    for number, line in enumerate((root / source).read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quote, target = match.groups()
        where = f"{source}:{number}"
        if target.startswith("fmt/") and source != FORMATTED:
            yield f"{where}: {target} is for {FORMATTED} alone"
        if target == FORMATTED and not source.endswith(".cpp"):
            yield f"{where}: {target} is not installed and for .cpp files alone"
        if quote == '"' and (root / target).exists():
            if not may_include(source, target):
                yield f"{where}: {folder(source)} may not include {target}"
        elif quote == '"':
            yield f"{where}: '{target}' is no path from the root"
        elif CUDA_HEADERS.search(target):
            if source.startswith(("host/", "include/")) or source.endswith(".hpp"):
                if not source.startswith(("kernels/cuda/", "cuda_emulation/", "tests/")):
                    yield f"{where}: {target} belongs to kernels/cuda"


def check_length(root, source):
    lines = (root / source).read_text().splitlines()
    if len(lines) > MOST_LINES:
        yield f"{source}: {len(lines)} lines, at most {MOST_LINES}"
    for number, line in enumerate(lines, 1):
        if len(line) > MOST_COLUMNS:
            yield f"{source}:{number}: {len(line)} columns, at most {MOST_COLUMNS}"


def proven_by_the_build(root, header):
    """Whether a source of the same name includes the header before anything else."""
    source = (root / header).with_suffix(".cpp")
    if not source.exists():
        return False
    first = next((INCLUDE.match(line) for line in source.open() if INCLUDE.match(line)), None)
    return first is not None and first.group(2) == header


def check_compiles_alone(root, compiler, header):
    command = [compiler, "-std=c++20", "-fsyntax-only", "-fopenmp", "-I", root, "-I",
               root / "include", "-x", "c++", root / header]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True)
    first = next((line for line in result.stderr.splitlines() if "error" in line), "")
    return [f"{header}: does not compile alone: {first}"] if result.returncode else []


def check_guide(root, guide):
    """Paths in `code` of a guide that begin with a folder of this project exist."""
    folders = {path.name for path in root.iterdir() if path.is_dir()} - {"build"}
    for number, line in enumerate((root / guide).read_text().splitlines(), 1):
        for path in re.findall(r"(?<![\w./-])([\w.-]+/[\w./-]*[\w-])", line):
            if path in YET_TO_BE_WRITTEN or path.split("/")[0] not in folders:
                continue
            if not list(root.glob(path + "*")):
                yield f"{guide}:{number}: there is no {path}"


def anchors(guide):
    """The fragments that GitHub makes of a guide's headings."""
    text = re.sub(r"^```.*?^```", "", guide.read_text(), flags=re.MULTILINE | re.DOTALL)
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def check_links(root, guide):
    """Links of a guide that stay in the project lead somewhere, and to headings that exist."""
    for number, line in enumerate((root / guide).read_text().splitlines(), 1):
        for link in LINK.findall(line):
            if re.match("https?:", link):
                continue
            path, _, anchor = link.partition("#")
            target = ((root / guide).parent / path).resolve() if path else root / guide
            if not target.exists():
                yield f"{guide}:{number}: link to {path}, which does not exist"
            elif anchor and anchor not in anchors(target):
                yield f"{guide}:{number}: link to #{anchor}, which is no heading of {target.name}"


def check_quotations(root, guide):
    """Blocks of code that name a file are part of it, word for word."""
    for block in re.findall(r"^```cpp\n(.*?)^```", (root / guide).read_text(), re.M | re.S):
        first, _, code = block.partition("\n")
        source = first.removeprefix(QUOTED)
        if source != first and code not in (root / source).read_text():
            yield f"{guide}: {source} does not contain: {code.splitlines()[0].strip()} ..."


def main():
    root, compiler = Path(sys.argv[1]).resolve(), sys.argv[2]
    sources = sorted(
        str(path.relative_to(root))
        for top in ("kernels", "host", "include", "cuda_emulation", "tests", "bench")
        for path in (root / top).rglob("*")
        if path.suffix in CODE
    )
    headers = [
        source
        for source in sources
        if source.endswith(".hpp")
        and not source.startswith(("kernels/cuda/", "cuda_emulation/", "tests/"))
        and not proven_by_the_build(root, source)
    ]
    guides = sorted(
        str(path.relative_to(root))
        for pattern in ("*.md", "*/*.md", "bench/papers/*.md")
        for path in root.glob(pattern)
        if not path.is_relative_to(root / "build")
    )

    wrong = []
    for source in sources:
        wrong += check_includes(root, source)
        wrong += check_length(root, source)
    for guide in guides:
        wrong += check_guide(root, guide)
        wrong += check_links(root, guide)
        wrong += check_quotations(root, guide)
    with ThreadPoolExecutor(2) as pool:
        for result in pool.map(lambda h: check_compiles_alone(root, compiler, h), headers):
            wrong += result
    print("\n".join(wrong))
    print(f"{len(sources)} sources, {len(headers)} headers compiled alone, {len(guides)} guides: "
          f"{len(wrong)} wrong")  # fmt: skip
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
