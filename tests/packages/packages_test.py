#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""The source archive, the Debian packages and the image: what is in them, and that they work where they are installed.

The packages are installed by dpkg into an overlay over a system, where the demo runs. The system is this one; with
SOCKSEAL_TEST_FULL=1 (make test-packages) it is a fresh Debian of debootstrap's in build/deps, and lintian and a builder
of images look too.
"""
import contextlib
import glob
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import unittest

# packages: dpkg-dev debhelper dh-apparmor systemtap-sdt-dev util-linux
# time-limit: 600
# full-limit: 1500

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SOCKSEAL_BUILD", os.path.join(ROOT, "build"))
FULL = os.environ.get("SOCKSEAL_TEST_FULL") == "1"
DEBIAN = os.path.join(ROOT, "build", "deps", "debian")


def run(*command, cwd=ROOT, check=True, **options):
    environment = {key: value for key, value in os.environ.items()
                   if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS") and not key.startswith("SOCKSEAL_")}
    environment.update(options.pop("env", {}))
    result = subprocess.run([str(word) for word in command], cwd=cwd, env=environment, capture_output=True, text=True,
                            timeout=900, check=False, **options)
    if check and result.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: status {result.returncode}\n{result.stdout[-2000:]}"
                             f"{result.stderr[-2000:]}")
    return result


def make(*words, **options):
    return run("make", "-s", "--no-print-directory", "BUILD=" + os.path.relpath(BUILD, ROOT), *words, **options).stdout


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def files_below(directory):
    return sorted("/" + os.path.relpath(os.path.join(path, name), directory)
                  for path, _, names in os.walk(directory) for name in names)


def installed(prefix, *words):
    return sorted(make("install-list", "PREFIX=" + prefix, *words).split())


class Version(unittest.TestCase):
    def test_it_is_the_same_everywhere(self):
        version = make("version").strip()
        self.assertRegex(version, r"^\d+\.\d+\.\d+$")
        self.assertEqual(run(os.path.join(BUILD, "sockseal"), "--version").stdout, f"sockseal {version}\n")
        self.assertEqual(re.search(r"^## (\S+)", read(ROOT, "CHANGELOG.md"), re.MULTILINE).group(1), version)
        changelog = run("packaging/debian-changelog").stdout
        self.assertTrue(changelog.startswith(f"sockseal ({version}) "), changelog[:200])
        with tempfile.TemporaryDirectory() as stage:
            make("install", "DESTDIR=" + stage, "PREFIX=/usr")
            pages = glob.glob(os.path.join(stage, "usr/share/man/man*/*"))
            self.assertEqual(len(pages), 3)
            for page in pages:
                self.assertRegex(read(page), rf'(?m)^\.TH \S+ \d \S+ "sockseal {re.escape(version)}"$')

    def test_every_change_is_in_the_changelog_of_the_package(self):
        changelog = " ".join(run("packaging/debian-changelog").stdout.split())
        items = re.findall(r"^- ((?:.+\n)(?:  .+\n)*)", read(ROOT, "CHANGELOG.md"), re.MULTILINE)
        self.assertTrue(items)
        for item in items:
            self.assertIn(" ".join(item.split()), changelog)


class Archive(unittest.TestCase):
    def test_the_same_bytes_again_and_from_itself(self):
        with tempfile.TemporaryDirectory() as place:
            name = f"sockseal-{make('version').strip()}"
            archives = []
            for attempt in ("one", "two"):
                run("packaging/dist", make("version").strip(), os.path.join(place, attempt))
                archives.append(os.path.join(place, attempt, name + ".tar.gz"))
            with tarfile.open(archives[0]) as archive:
                archive.extractall(os.path.join(place, "tree"))
                members = {member.name for member in archive.getmembers()}
            tree = os.path.join(place, "tree", name)
            run("make", "-s", "dist", cwd=tree)
            archives.append(os.path.join(tree, "build", "dist", name + ".tar.gz"))
            contents = []
            for path in archives:
                with open(path, "rb") as file:
                    contents.append(file.read())
            self.assertEqual(contents[0], contents[1])
            self.assertEqual(contents[0], contents[2])
            self.assertIn(name + "/shim/cli/main.c", members)
            known = run("git", "ls-files", "-z", check=False)
            if known.returncode == 0:
                self.assertEqual(members, {f"{name}/{path}" for path in known.stdout.split("\0") if path})


def overlay(command):
    """Runs a shell's command as root of a copy of a system, which is gone afterwards. $DEB has the packages."""
    with tempfile.TemporaryDirectory() as scratch:
        script = f"""
            set -e
            mount -t tmpfs none {scratch}
            cd {scratch}
            mkdir upper work merged
            mount -t overlay overlay -o lowerdir={DEBIAN if FULL else "/"},upperdir=upper,workdir=work merged
            mount --rbind /proc merged/proc
            mount --rbind /dev merged/dev
            mount -t tmpfs none merged/tmp
            mkdir merged/tmp/deb
            cp {BUILD}/deb/*.deb merged/tmp/deb
            exec chroot merged /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
                LC_ALL=C.UTF-8 TMPDIR=/tmp DEB=/tmp/deb sh -c '
                rm -f /usr/local/bin/sockseal /usr/local/lib/libsockseal.so
                dpkg -i $DEB/sockseal_*.deb $DEB/libsockseal_*.deb >/tmp/dpkg.log 2>&1 || {{ cat /tmp/dpkg.log; exit 1; }}
                {command}'
        """
        return run("unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", script, check=False)


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        missing = [name for name in ("dh", "dpkg-buildpackage", "dpkg-deb") if not shutil.which(name)]
        if missing:
            raise unittest.SkipTest(f"{missing} missing: no packages are made")
        version = make("version").strip()
        run("packaging/build-deb", os.path.relpath(BUILD, ROOT), version,
            env={} if FULL else {"DEB_BUILD_OPTIONS": "noautodbgsym"})  # compressing what debuggers want takes long
        cls.version = version
        cls.paths = {name: glob.glob(f"{BUILD}/deb/{name}_{version}_*.deb")[0] for name in ("sockseal", "libsockseal")}

    def field(self, package, name):
        return run("dpkg-deb", "-f", self.paths[package], name).stdout.strip()

    def content(self):
        """What both packages install, as it was before debhelper compressed it."""
        paths = []
        for package in self.paths.values():
            for line in run("dpkg-deb", "-c", package).stdout.splitlines():
                path = line.split()[5].lstrip(".")
                if not path.endswith("/"):
                    paths.append(path)
        self.assertEqual(len(paths), len(set(paths)))
        return sorted(re.sub(r"\.gz$", "", path) for path in paths)

    def test_it_has_what_make_install_installs(self):
        triplet = run("dpkg-architecture", "-qDEB_HOST_MULTIARCH").stdout.strip()
        expected = installed("/usr", "LIBDIR=/usr/lib/" + triplet, "ZSHDIR=/usr/share/zsh/vendor-completions")
        of_debian = re.compile(r"^/usr/share/(doc/\w+/(copyright|changelog(\.Debian)?)|lintian/overrides/\w+)$")
        self.assertEqual([path for path in self.content() if not of_debian.match(path)], expected)
        self.assertIn(f"/usr/lib/{triplet}/libsockseal.so", expected)

    def test_its_library_is_that_of_the_build(self):
        with tempfile.TemporaryDirectory() as place:
            run("dpkg-deb", "-x", self.paths["libsockseal"], place)
            library = glob.glob(place + "/usr/lib/*/libsockseal.so")[0]
            for path, name in ((library, "theirs"), (os.path.join(BUILD, "libsockseal.so"), "ours")):
                run("objcopy", "-O", "binary", "--only-section=.text", path, os.path.join(place, name))
            run("cmp", os.path.join(place, "theirs"), os.path.join(place, "ours"))

    def test_its_fields(self):
        for package in self.paths:
            self.assertEqual(self.field(package, "Version"), self.version)
            self.assertIn("libc6", self.field(package, "Depends"))
        self.assertEqual(self.field("libsockseal", "Multi-Arch"), "same")
        self.assertIn(f"libsockseal (= {self.version})", self.field("sockseal", "Depends"))
        self.assertIn("/etc/apparmor.d/abstractions/sockseal",
                      run("dpkg-deb", "-I", self.paths["sockseal"], "conffiles").stdout)

    @unittest.skipUnless(os.geteuid() == 0, "an overlay takes root")
    def test_installed_it_runs_the_demo(self):
        if FULL and not os.path.isdir(DEBIAN):
            self.fail(f"{DEBIAN} is missing: make test-packages makes it")
        result = overlay("ip link set lo up 2>/dev/null || python3 -c \"import fcntl, socket, struct; "
                         "fcntl.ioctl(socket.socket(), 0x8914, struct.pack(\\\"16sH14x\\\", b\\\"lo\\\", 65))\"; "
                         "sockseal --version; /usr/share/doc/sockseal/examples/demo.sh")
        self.assertEqual(result.returncode, 0, result.stdout[-3000:] + result.stderr[-3000:])
        self.assertIn(f"sockseal {self.version}\n", result.stdout)
        self.assertIn("The demo is through", result.stdout)

    @unittest.skipUnless(os.geteuid() == 0, "an overlay takes root")
    def test_the_library_is_found_by_its_name_and_by_lib(self):
        seen = "grep -o \"/.*libsockseal.so\" /proc/self/maps | sort -u"
        result = overlay(f"export SOCKSEAL_PORTS=; for name in libsockseal.so \"/usr/\\$LIB/libsockseal.so\"; do "
                         f"echo \"$name: $(LD_PRELOAD=$name {seen})\"; done; "
                         "dpkg -r sockseal libsockseal >/dev/null; ls /usr/bin/sockseal 2>&1; true")
        triplet = run("dpkg-architecture", "-qDEB_HOST_MULTIARCH").stdout.strip()
        path = f"/usr/lib/{triplet}/libsockseal.so"
        self.assertIn(f"libsockseal.so: {path}\n", result.stdout, result.stderr)
        self.assertIn(f"/usr/$LIB/libsockseal.so: {path}\n", result.stdout, result.stderr)
        self.assertIn("cannot access", result.stdout)

    @unittest.skipUnless(FULL, "make test-packages: lintian is large")
    def test_lintian_has_nothing_to_say(self):
        changes = glob.glob(f"{BUILD}/deb/*.changes")
        result = run("lintian", "--pedantic", "--display-info", "--allow-root", *changes, check=False)
        self.assertEqual((result.returncode, re.sub(r"(?m)^N: .*\n?", "", result.stdout)), (0, ""), result.stderr)


class AppArmor(unittest.TestCase):
    def test_a_profile_with_the_abstraction_is_parsed(self):
        if not shutil.which("apparmor_parser"):
            self.skipTest("apparmor_parser is missing")
        with tempfile.NamedTemporaryFile("w", suffix=".profile") as profile:
            profile.write('abi <abi/3.0>,\ninclude <tunables/global>\nprofile redis /usr/bin/redis-server {\n'
                          f'  include <abstractions/base>\n  include "{ROOT}/packaging/apparmor/sockseal"\n}}\n')
            profile.flush()
            result = run("apparmor_parser", "--skip-kernel-load", "--skip-cache", "--base", "/etc/apparmor.d",
                         "--names", profile.name)
        self.assertEqual(result.stdout, "redis\n")


class Image(unittest.TestCase):
    def test_its_files_are_those_of_make_install(self):
        make("image", env={"BUILDER": "none"})
        self.assertEqual(files_below(f"{BUILD}/image/root"), installed("/usr/local"))
        instructions = re.findall(r"^([A-Z]+) +(.*)", read(BUILD, "image", "Dockerfile"), re.MULTILINE)
        self.assertIn(("COPY", "root/ /"), instructions)
        self.assertIn(("USER", "65532:65532"), instructions)
        entry = next(words for name, words in instructions if name == "ENTRYPOINT")
        self.assertIn(entry.strip('[]"'), installed("/usr/local"))

    @unittest.skipUnless(FULL and os.geteuid() == 0, "make test-packages builds it")
    def test_built_and_run(self):
        """Of debootstrap's system for a base, since no registry of images need be in reach."""
        version = make("version").strip()
        with tempfile.TemporaryDirectory() as store, contextlib.ExitStack() as stack:
            buildah = ["buildah", "--root", f"{store}/root", "--runroot", f"{store}/run", "--storage-driver", "vfs"]
            base = run(*buildah, "from", "scratch").stdout.strip()
            stack.callback(run, *buildah, "rm", "--all")
            run(*buildah, "add", base, DEBIAN, "/")
            run(*buildah, "commit", base, "localhost/base")
            make("image", "BASE=localhost/base", env={"BUILDER": " ".join(buildah + ["bud", "--isolation", "chroot"])})
            work = run(*buildah, "from", f"localhost/sockseal:{version}").stdout.strip()
            inside = buildah + ["run", "--isolation", "chroot", work, "--"]
            self.assertEqual(run(*inside, "/usr/local/bin/sockseal", "--version").stdout, f"sockseal {version}\n")
            self.assertEqual(run(*inside, "id", "-u").stdout.strip(), "65532")
            result = run(*inside, "sh", "-c", "sockseal keygen -o /tmp/keys a && sockseal -p 9 -k /tmp/keys env")
            self.assertIn("LD_PRELOAD=/usr/local/lib/libsockseal.so", result.stdout)


if __name__ == "__main__":
    unittest.main()
