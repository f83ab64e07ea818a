# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""WireGuard between this network namespace and another one, over a veth pair: the kernel's module, or wireguard-go."""
import os
import time

from pathlib import Path

from procs import BenchError

DEADLINE = 10


class Network:
    """One tunnel. `inside`: how a program is started at its other end, which has the address `host`."""

    host, near = "10.214.214.2", "10.214.214.1"
    outer_host, outer_near, port = "10.213.213.2", "10.213.213.1", 51999

    def __init__(self, shop):
        self.shop, self.services = shop, []
        number = os.getpid() % 100000
        self.name, self.veth, self.device = f"bench{number}", f"veth{number}", f"wg{number}"
        self.inside = ["ip", "netns", "exec", self.name]
        if os.geteuid() != 0:
            raise BenchError("a network namespace takes root")
        self.in_kernel = self._has_module()
        if not self.in_kernel and not Path("/dev/net/tun").exists():
            raise BenchError("neither the kernel's module nor /dev/net/tun is there")
        shop.at_end(self._remove)
        self._join_namespaces()
        keys = [shop.run(["wg", "genkey"]).strip() for _ in range(2)]
        self._device([], self.device, self.near, keys[0], keys[1], self.outer_host)
        self._device(self.inside, "wg0", self.host, keys[1], keys[0], self.outer_near)

    def _ip(self, *words, inside=False):
        return self.shop.run([*(self.inside if inside else []), "ip", *words])

    def _has_module(self):
        added = self.shop.run(["ip", "link", "add", self.device, "type", "wireguard"], may_fail=True) == ""
        if added:
            self._ip("link", "del", self.device)
        return added

    def _join_namespaces(self):
        self._ip("netns", "add", self.name)
        self._ip("link", "add", self.veth, "type", "veth", "peer", "name", "outer", "netns", self.name)
        self._ip("addr", "add", f"{self.outer_near}/30", "dev", self.veth)
        self._ip("link", "set", self.veth, "up")
        self._ip("addr", "add", f"{self.outer_host}/30", "dev", "outer", inside=True)
        for device in ("outer", "lo"):
            self._ip("link", "set", device, "up", inside=True)

    def _device(self, where, device, address, own, peer, outer):
        """One end of the tunnel, with its own private key and the other end's."""
        if self.in_kernel:
            self.shop.run([*where, "ip", "link", "add", device, "type", "wireguard"])
        else:
            self.services.append(self.shop.start([*where, "wireguard-go", "-f", device]))
            self._wait_for(where, device)
        secret = self.shop.directory / f"wireguard-{device}"
        secret.touch(mode=0o600)
        secret.write_text(own)
        public = self.shop.run(["sh", "-c", f"echo {peer} | wg pubkey"]).strip()
        self.shop.run([*where, "wg", "set", device, "listen-port", self.port, "private-key", secret, "peer", public,
                       "allowed-ips", f"{self.near if where else self.host}/32", "endpoint", f"{outer}:{self.port}"])
        self.shop.run([*where, "ip", "addr", "add", f"{address}/30", "dev", device])
        self.shop.run([*where, "ip", "link", "set", device, "up"])

    def _wait_for(self, where, device):
        end = time.monotonic() + DEADLINE
        while "does not exist" in self.shop.run([*where, "ip", "link", "show", device], may_fail=True):
            if time.monotonic() > end or not self.services[-1].runs():
                raise BenchError("wireguard-go: " + self.services[-1].printed().strip()[-200:])
            time.sleep(0.05)

    def _remove(self):
        for words in (["ip", "link", "del", self.device], ["ip", "link", "del", self.veth],
                      ["ip", "netns", "del", self.name]):
            self.shop.run(words, may_fail=True)


def wait_listening(network, port, server):
    """That of procs.Workshop looks into this namespace only."""
    end = time.monotonic() + DEADLINE
    while f":{port} " not in network.shop.run([*network.inside, "ss", "-Hltn"]):
        if time.monotonic() > end or not server.runs():
            raise BenchError(f"iperf3 does not listen: {server.printed().strip()[-200:]}")
        time.sleep(0.05)
