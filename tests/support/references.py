# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Which file refers to which: by the symbols of its object (nm) and by what it includes; what is upward or a circle."""
import collections
import functools
import glob
import os
import re
import subprocess

# Each room and the rooms below it that it may refer to. `libc` and `cli` are at the top; nothing refers to them.
ROOMS = {
    "sys": set(),
    "crypto": {"sys"},
    "tls": {"crypto", "sys"},
    "diag": {"sys"},
    "config": {"diag", "tls", "crypto", "sys"},
    "shm": {"diag", "sys"},
    "conn": {"shm", "tls", "config", "diag", "sys"},
    "record": {"conn", "shm", "tls", "crypto", "config", "diag", "sys"},
    "io": {"record", "conn", "shm", "tls", "crypto", "config", "diag", "sys"},
    "process": {"io", "record", "conn", "shm", "tls", "config", "diag", "sys"},
    "libc": {"process", "io", "record", "conn", "shm", "tls", "crypto", "config", "diag", "sys"},
    "cli": {"process", "config", "diag", "tls", "crypto", "sys"},
}


def room_of(name):
    """Of "conn/lock" or "crypto/aegis/aegis"."""
    return name.split("/", 1)[0]


@functools.lru_cache(None)
def symbols(paths):
    """{path: (what the object defines for others, what it wants of them)}, by one run of nm."""
    result = subprocess.run(["nm", "-A", "-f", "posix", *paths], capture_output=True, text=True, check=True, timeout=60)
    found = {path: (set(), set()) for path in paths}
    for line in result.stdout.splitlines():
        path, name, kind = re.match(r"(.*): (\S+) (\S)", line).groups()
        if kind in "Uw":
            found[path][1].add(name)
        elif kind.isupper() or kind in "uv":
            found[path][0].add(name)
    return found


def objects(build, root, *without):
    """{"conn/lock": (defined, wanted)} for each object that has a source (old ones may lie beside them), without some
    rooms: the command calls libc's functions, and not the doors of the same names.
    """
    top = os.path.join(build, "obj", "shim")
    names = [os.path.relpath(path, top)[:-2] for path in glob.glob(os.path.join(top, "**", "*.o"), recursive=True)]
    paths = {name: os.path.join(top, name + ".o") for name in sorted(names)
             if os.path.exists(os.path.join(root, "shim", name + ".c"))}
    found = symbols(tuple(paths.values()))
    return {name: found[path] for name, path in paths.items() if room_of(name) not in without}


def by_symbols(files):
    """{file: {another: {symbol…}}} of {file: (defined, wanted)}."""
    home = {symbol: name for name, (defined, _) in files.items() for symbol in defined}
    graph = {name: collections.defaultdict(set) for name in files}
    for name, (_, wanted) in files.items():
        for symbol in wanted:
            if home.get(symbol, name) != name:
                graph[name][home[symbol]].add(symbol)
    return graph


def by_includes(root):
    """{file: {header: {header}}} of the sources and headers of shim/; a header of a room beside it, or by its room."""
    graph = {}
    top = os.path.join(root, "shim")
    for path in glob.glob(os.path.join(top, "**", "*.[ch]"), recursive=True):
        name = os.path.relpath(path, top)
        with open(path, encoding="utf-8") as file:
            headers = re.findall(r'^#include "([^"]+)"', file.read(), re.MULTILINE)
        places = [place for header in headers for place in (header, os.path.join(os.path.dirname(name), header))]
        graph[name] = {place: {place} for place in places if os.path.exists(os.path.join(top, place))}
    return graph


def upward(graph, rooms):
    """The references that the table of rooms does not allow, as text."""
    return sorted("%s refers to %s (%s)" % (name, other, ", ".join(sorted(what)))
                  for name, others in graph.items() for other, what in others.items()
                  if room_of(other) != room_of(name) and room_of(other) not in rooms[room_of(name)])


def circles(graph):
    """The sets of files that refer to each other, directly or by others (strongly connected components; Tarjan)."""
    index, low, stack, found = {}, {}, [], []

    def visit(name):
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in graph.get(name, ()):
            if other not in index:
                visit(other)
            if other in stack:
                low[name] = min(low[name], low[other])
        if low[name] == index[name]:
            members = stack[stack.index(name):]
            del stack[stack.index(name):]
            if len(members) > 1:
                found.append(sorted(members))

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return sorted(found)
