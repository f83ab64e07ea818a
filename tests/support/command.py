# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Running the sockseal command, for tests/apps/sockseal_*_test.py."""
import os
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SOCKSEAL_BUILD", os.path.join(ROOT, "build"))
LIBRARY = os.path.realpath(os.path.join(BUILD, "libsockseal.so"))
FAILED, CONFIGURATION, USAGE, CANNOT_INVOKE, NOT_FOUND = 1, 78, 125, 126, 127


class CommandTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.write("keys", "me:%s\nyou:%s\n" % ("a1" * 32, "b2" * 32))

    def write(self, name, text, mode=0o600):
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def path(self, name):
        return os.path.join(self.directory, name)

    def sockseal(self, *arguments, env=None, **options):
        """Runs the command, with a good key file unless `env` says otherwise; a variable that is None is left out."""
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8",
                       "SOCKSEAL_KEY_FILE": self.path("keys"), "HOME": self.directory}
        environment.update(env or {})
        environment = {name: value for name, value in environment.items() if value is not None}
        return subprocess.run([os.path.join(BUILD, "sockseal"), *arguments], env=environment, cwd=self.directory,
                              capture_output=True, text=True, timeout=30, check=False, **options)

    def copy(self, program, name, mode):
        target = self.path(name)
        shutil.copy(shutil.which(program), target)
        os.chmod(target, mode)
        return target

    def script(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(self.path(name), 0o755)
        return self.path(name)

    def compile(self, name, *flags):
        subprocess.run(["gcc", "-o", self.path(name), *flags, "-x", "c", "-"], input="int main(void) { return 0; }",
                       text=True, check=True, timeout=60)
        return self.path(name)
