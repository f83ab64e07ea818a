#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Looks for a file's bytes in a capture: demo-wire.py CAPTURE PORT FILE

Prints a few bytes of both, and ends with status 1 if any 16 consecutive bytes of the file, at whatever offset, occur in
what the TCP connections of that port carried, or if the capture has not all of it.
"""
import struct
import sys

PIECE = 16
BLOCK = 8  # any 16 bytes in a row hold one whole block of 8 that starts at a multiple of 8


def packets(capture):
    """The link-layer frames of a pcap file (draft-ietf-opsawg-pcap)."""
    order = "<" if capture[:4] == b"\xd4\xc3\xb2\xa1" else ">"
    at = 24
    while at + 16 <= len(capture):
        length = struct.unpack_from(order + "I", capture, at + 8)[0]
        yield capture[at + 16:at + 16 + length]
        at += 16 + length


def segments(capture, port):
    """(direction, sequence number, payload) of each IPv4 TCP segment of the port."""
    for frame in packets(capture):
        ip = frame[14:]
        if len(ip) < 40 or ip[0] >> 4 != 4:
            continue
        total = struct.unpack_from("!H", ip, 2)[0] or len(ip)  # 0: larger than the field can say
        tcp = ip[(ip[0] & 15) * 4:total]
        source, target, sequence = struct.unpack_from("!HHI", tcp)
        payload = tcp[(tcp[12] >> 4) * 4:]
        if payload and port in (source, target):
            yield (source, target), sequence, payload


def streams(capture, port):
    """What each direction carried, in order, each byte once."""
    directions = {}
    for direction, sequence, payload in segments(capture, port):
        base, parts = directions.setdefault(direction, (sequence, {}))
        parts[(sequence - base) & 0xffffffff] = payload
    for base, parts in directions.values():
        stream = bytearray()
        for offset in sorted(parts):
            stream += parts[offset][max(0, len(stream) - offset):]
        yield bytes(stream)


def find_piece(file, wire):
    """The offset in `wire` of 16 bytes that the file has too, or -1."""
    blocks = {file[at:at + BLOCK] for at in range(0, len(file) - BLOCK + 1, BLOCK)}
    for at in range(len(wire) - BLOCK + 1):
        if wire[at:at + BLOCK] in blocks:
            for start in range(max(0, at - PIECE + BLOCK), at + 1):
                piece = wire[start:start + PIECE]
                if len(piece) == PIECE and piece in file:
                    return start
    return -1


def show(label, data, offset):
    for row in range(offset, offset + 64, 16):
        part = data[row:row + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        print("     %-5s %s  |%s|" % (label if row == offset else "", part.hex(" "), text))


def readable_offset(data):
    """Where a person sees at once that this is plaintext: a stretch of letters."""
    for at in range(0, len(data) - 64, 16):
        if all(byte in b" .,_-:%s/" or 48 <= byte <= 57 or 65 <= byte <= 122 for byte in data[at:at + 64]):
            return at
    return 0


def main():
    with open(sys.argv[1], "rb") as file:
        carried = list(streams(file.read(), int(sys.argv[2])))
    with open(sys.argv[3], "rb") as file:
        plaintext = file.read()
    wire = max(carried, key=len, default=b"")
    offset = readable_offset(plaintext)
    show("file", plaintext, offset)
    show("wire", wire, offset)
    print("     %d bytes were sent, %d crossed the wire" % (len(plaintext), sum(map(len, carried))), flush=True)
    if len(wire) < len(plaintext):
        sys.exit("the capture has not all of it")
    for stream in carried:
        at = find_piece(plaintext, stream)
        if at >= 0:
            sys.exit("16 bytes of the file cross the wire: %s" % stream[at:at + PIECE].hex(" "))


main()
