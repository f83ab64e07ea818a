# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Whether the kernel has TLS, and uses it."""
import re
import socket

from pathlib import Path

from procs import BenchError

TCP_ULP = 31  # linux/tcp.h


def require():
    """The kernel loads the module when a connection asks for it."""
    with socket.create_server(("127.0.0.1", 0)) as listener, \
            socket.create_connection(listener.getsockname()) as connection:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls")
        except OSError as error:
            raise BenchError(f"the kernel has no TLS ({error.strerror})") from None


def sessions():
    """How many sessions have been given to the kernel since it started, by its own count."""
    require()
    text = Path("/proc/net/tls_stat").read_text()
    return sum(int(number) for number in re.findall(r"^TlsTx(?:Sw|Device)\s+(\d+)", text, re.MULTILINE))
