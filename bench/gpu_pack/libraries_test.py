#!/usr/bin/env python3
"""Checks the list of libraries packed by gpu-pack: libraries_test.py COMPILER PROGRAM..."""

import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from gpu_check.command import Problem  # noqa: E402
from gpu_pack import libraries  # noqa: E402

COMPILER, *PROGRAMS = sys.argv[1:]
PROGRAMS = [Path(program) for program in PROGRAMS]


class Libraries(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.found = libraries.closure(PROGRAMS)
        for name, path in self.found.items():
            shutil.copy(path, self.folder / name)

    def test_contain_all_that_is_needed(self):
        self.assertTrue(self.found)
        self.assertEqual(libraries.unresolved(PROGRAMS, self.folder), [])

    def test_contain_nothing_that_is_not_needed(self):
        for name in self.found:
            with self.subTest(name):
                (self.folder / name).rename(self.folder / "away.so")
                missing = libraries.unresolved(PROGRAMS, self.folder)
                self.assertTrue(any(line.endswith(f" needs {name}") for line in missing), missing)
                (self.folder / "away.so").rename(self.folder / name)

    def test_exclude_the_base_and_the_driver(self):
        for name in self.found:
            self.assertFalse(name in libraries.BASE or name.startswith(("libcuda.", "libnv")), name)

    def test_that_cannot_be_read_are_named(self):
        text = self.folder / "text.so"
        text.write_text("no library")
        with self.assertRaisesRegex(Problem, "text.so"):
            libraries.closure([text])


class Planted(unittest.TestCase):
    """A library built for the test, and a second one that needs it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.link("libfirst.so")

    def link(self, name, *options):
        command = [COMPILER, "-shared", "-x", "c++", "/dev/null", "-o", self.folder / name]
        subprocess.run([*command, *options], check=True)
        return self.folder / name

    def link_second(self):
        return self.link("second.so", "-Wl,--no-as-needed", f"-L{self.folder}", "-lfirst")

    def test_library_is_found_in_the_given_folder(self):
        found = libraries.closure([self.link_second()], self.folder)
        self.assertEqual(found, {"libfirst.so": self.folder / "libfirst.so"})

    def test_missing_library_is_named(self):
        with self.assertRaisesRegex(Problem, "second.so: its library libfirst.so is not installed"):
            libraries.closure([self.link_second()])

    def test_run_path_out_of_the_archive_is_reported(self):
        inside = self.link("inside.so", "-Wl,-rpath,$ORIGIN/../lib")
        outside = self.link("outside.so", "-Wl,-rpath,$ORIGIN:/elsewhere")
        self.assertEqual(
            libraries.foreign_run_paths([inside, outside]),
            ["outside.so has the run path $ORIGIN:/elsewhere"],
        )


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
