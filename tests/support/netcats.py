# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""The command lines of the three netcats."""

import itertools

import sealed

FLAVOURS = ("openbsd", "traditional", "ncat")
PAIRS = tuple(itertools.product(FLAVOURS, FLAVOURS))  # (listening, connecting)

COMMAND = {"openbsd": "nc.openbsd", "traditional": "nc.traditional", "ncat": "ncat"}

# What makes each end its side of the connection when standard input ends; ncat does so by itself.
UNTIL_EOF = {"openbsd": ("-N",), "traditional": ("-q", "0"), "ncat": ()}


def listening(flavour, address, port, *options):
    if flavour == "traditional":
        return (COMMAND[flavour], "-n", "-l", "-s", address, "-p", port, *options)
    return (COMMAND[flavour], "-n", *options, "-l", address, port)


def connecting(flavour, address, port, *options):
    return (COMMAND[flavour], "-n", *options, address, port)


class Case(sealed.TestCase):
    """A test of all three, at an address of its own."""

    def setUp(self):
        for command in COMMAND.values():
            sealed.need(command)
        super().setUp()
        self.address = sealed.loopback()
