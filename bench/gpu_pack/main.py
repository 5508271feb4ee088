"""The command line of scripts/gpu-pack: builds, collects, checks and compresses."""

import argparse
import hashlib
import json
import lzma
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from gpu_check import machine
from gpu_check.command import Problem
from gpu_pack import self_test
from gpu_pack.libraries import (
    closure,
    foreign_run_paths,
    needed_versions,
    output_of,
    unresolved,
)

TOP = "elbo-gpu"  # the folder in the archive
PROGRAMS = {
    "elbo_cli": "elbo",
    "elbo_bench": "bench/elbo_bench",
    "kernels_gpu_test": "tests/kernels_gpu_test",
    "elbo_calibrate": "bench/calibrate/elbo_calibrate",
}  # by target: their paths in a build
NOT_SIMULATED = "elbo_calibrate"  # times on a simulated GPU are meaningless
SOURCES = ("scripts/gpu-check", "bench/gpu_check", "bench/peers", ":(glob)bench/*.md")
SOURCES += ("tests/golden",)
FAILED, USAGE = 1, 2  # exit codes

# An old-style run path (DT_RPATH) also applies to the dependencies of libraries, takes precedence
# over LD_LIBRARY_PATH, and is used by dlopen: the simulated GPU's cuBLASLt is found like the rest.
SETTINGS = {
    "CMAKE_BUILD_TYPE": "Release",
    "CMAKE_BUILD_WITH_INSTALL_RPATH": "ON",
    "CMAKE_EXE_LINKER_FLAGS": "-Wl,--disable-new-dtags",
    "CMAKE_INSTALL_RPATH": "$ORIGIN/../lib",
    "CMAKE_SHARED_LINKER_FLAGS": "-Wl,--disable-new-dtags",
    "ELBO_BUILD_BENCH": "ON",
    "ELBO_BUILD_TESTS": "ON",
    "ELBO_CUDA": "ON",
    "ELBO_TEST_FOLDER": "../tests",
}
REAL = {"ELBO_CUDA_ARCHITECTURES": "90-real", "ELBO_EMULATED_TESTS": "OFF"}
SIMULATED = {"ELBO_CUDA_ARCHITECTURES": "90-virtual", "ELBO_EMULATED_TESTS": "ON"}

README = """\
elbo {commit} for GPUs of the architecture {architectures}; manifest.json lists the files.
All tests and measurements: scripts/gpu-check --help (needs python3; PyTorch and JAX for the peers).
Only the tests of the kernels: bin/kernels_gpu_test
A training: bin/elbo generate shapes data && bin/elbo train data --out run --device cuda
Needs {needs} and the NVIDIA driver.
"""


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="gpu-pack",
        description="Builds elbo for the GPU architecture sm_90 and packs programs, libraries and "
        "scripts/gpu-check into one archive, which needs no other package.",
        epilog=f"exit codes: 0 done, {FAILED} the self-test failed, {USAGE} nothing was packed",
    )
    add = parser.add_argument
    add("--out", type=Path, help="archive [elbo-gpu.tar.xz]")
    # fmt: off
    add("--simulated", action="store_true",
        help="programs on the simulated GPU, for a rehearsal, instead of programs for a GPU")
    add("--self-test", type=Path, metavar="ARCHIVE",
        help="run an archive's programs in a minimal Debian 12 without network; needs root")
    add("--chroot", type=Path, metavar="DIR",
        help="folder of that Debian; made by debootstrap if it does not exist")
    # fmt: on
    options = parser.parse_args(arguments)
    if (options.self_test is None) != (options.chroot is None):
        parser.error("--self-test ARCHIVE and --chroot DIR are only used together")
    if options.self_test and (options.out or options.simulated):
        parser.error("--self-test packs nothing: use it without --out and --simulated")
    options.out = options.out or Path("elbo-gpu.tar.xz")
    return options


def build(simulated: bool, settings: dict[str, str]) -> tuple[Path, list[Path]]:
    """Builds, and returns the build folder and the programs. The subfolder `simulated` contains the
    programs on the simulated GPU and the libraries that they need."""
    folder = machine.ROOT / "build" / ("gpu-pack-simulated" if simulated else "gpu-pack")
    given = [f"-D{name}={value}" for name, value in settings.items()]
    targets, programs = [], []
    for target, path in PROGRAMS.items():
        if simulated and target != NOT_SIMULATED:
            targets.append(f"simulated_{target}")
            programs.append(folder / "simulated" / Path(path).name)
        else:
            targets.append(target)
            programs.append(folder / path)
    for command in (
        ["cmake", "-G", "Ninja", "-S", machine.ROOT, "-B", folder, *given],
        ["cmake", "--build", folder, "--target", *targets],
    ):
        if subprocess.run(command, stdout=sys.stderr).returncode:
            raise Problem("the build failed (above)")
    return folder, programs


def stage(built: list[Path], stand_ins: Path | None, root: Path) -> None:
    """Copies all files but the manifest and the README, and checks that no library is missing."""
    (root / "bin").mkdir(parents=True)
    (root / "lib").mkdir()
    programs = [Path(shutil.copy2(program, root / "bin")) for program in built]
    for program in programs:
        output_of("strip", program)
    loaded_later = sorted(stand_ins.glob("lib*.so.*")) if stand_ins else []
    libraries = closure([*programs, *loaded_later], stand_ins)
    libraries |= {path.name: path for path in loaded_later}
    for name, path in sorted(libraries.items()):
        shutil.copy(path, root / "lib" / name)
        output_of("strip", "--strip-unneeded", root / "lib" / name)

    listed = output_of("git", "-C", machine.ROOT, "ls-files", "--cached", "--others",
                       "--exclude-standard", "--", *SOURCES)  # fmt: skip
    for name in listed.splitlines():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(machine.ROOT / name, root / name)

    wrong = unresolved(programs, root / "lib")
    wrong += foreign_run_paths([*programs, *(root / "lib").iterdir()])
    if wrong:
        raise Problem("the archive would not run: " + "; ".join(wrong))


def nvcc_version(build_folder: Path) -> str:
    found = sorted(build_folder.glob("CMakeFiles/*/CMakeCUDACompiler.cmake"))[-1].read_text()
    return re.search(r'CMAKE_CUDA_COMPILER_VERSION "([\d.]+)"', found)[1]


def describe(root: Path, simulated: bool, settings: dict[str, str], nvcc: str) -> dict:
    """Writes the README. Returns the manifest, which also lists the README."""
    binaries = [*(root / "bin").iterdir(), *(root / "lib").iterdir()]
    needs = needed_versions(binaries)
    commit = output_of("git", "-C", machine.ROOT, "describe", "--always", "--dirty",
                       "--abbrev=10", "--exclude=*").strip()  # fmt: skip
    manifest = {
        "commit": commit,
        "dirty": commit.endswith("-dirty"),
        "simulated": simulated,
        "architectures": settings["ELBO_CUDA_ARCHITECTURES"],
        "nvcc": nvcc,
        "settings": settings,
        "needs": needs,
    }
    (root / "README").write_text(
        README.format(
            commit=commit,
            architectures=manifest["architectures"],
            needs=", ".join(f"{name} {version}" for name, version in needs.items()),
        )
    )
    files = sorted(path for path in root.rglob("*") if path.is_file())
    manifest["files"] = {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }
    return manifest


def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


def pack(options: argparse.Namespace) -> None:
    settings = SETTINGS | (SIMULATED if options.simulated else REAL)
    folder, programs = build(options.simulated, settings)
    stand_ins = folder / "simulated" if options.simulated else None
    with tempfile.TemporaryDirectory() as staged:
        root = Path(staged) / TOP
        stage(programs, stand_ins, root)
        manifest = describe(root, options.simulated, settings, nvcc_version(folder))
        (root / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
        # preset 9 has the largest dictionary, so that kernels that occur in several programs are
        # stored once.
        with lzma.open(options.out, "wb", preset=9) as compressed:
            with tarfile.open(fileobj=compressed, mode="w") as archive:
                archive.add(root, TOP, filter=anonymous)
        unpacked = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    mib = 2.0**20
    print(f"{options.out}: {options.out.stat().st_size / mib:.1f} MiB, "
          f"{unpacked / mib:.1f} MiB unpacked, {len(manifest['files'])} files")  # fmt: skip
    print(f"unpack with: tar xJf {options.out}, or without xz: python3 -m tarfile -e {options.out}")


def main(arguments: list[str]) -> int:
    options = parse_arguments(arguments)
    try:
        if options.self_test:
            return FAILED if self_test.failures(options.self_test, options.chroot) else 0
        pack(options)
        return 0
    except (Problem, OSError) as error:
        print(f"gpu-pack: {error}", file=sys.stderr)
        return USAGE
