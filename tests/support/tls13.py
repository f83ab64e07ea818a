# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""A small TLS 1.3 server with an external PSK, X25519 and ChaCha20-Poly1305, for peers that no stock program can be
made to play: HelloRetryRequest with a cookie, and peers that break the rules. Written from RFC 8446 alone and slow; it
checks the client's binder and Finished and little else. For tests only."""

import hashlib
import hmac
import os
import struct

HANDSHAKE, ALERT, CHANGE_CIPHER_SPEC, DATA = 22, 21, 20, 23
CLIENT_HELLO, SERVER_HELLO, NEW_SESSION_TICKET, ENCRYPTED_EXTENSIONS, FINISHED, KEY_UPDATE = 1, 2, 4, 8, 20, 24
SUPPORTED_VERSIONS, COOKIE, KEY_SHARE, PRE_SHARED_KEY = 43, 44, 51, 41
CHACHA20_POLY1305, X25519, TLS_1_3 = 0x1303, 0x001D, 0x0304
RETRY_RANDOM = hashlib.sha256(b"HelloRetryRequest").digest()  # RFC 8446, 4.1.3


def x25519(scalar, point):
    """RFC 7748, 5."""
    p = 2**255 - 19
    k = int.from_bytes(scalar, "little") & ~7 & ~(1 << 255) | 1 << 254
    x1 = int.from_bytes(point, "little") & ((1 << 255) - 1)
    x2, z2, x3, z3 = 1, 0, x1, 1
    for bit in range(254, -1, -1):
        swap = k >> bit & 1
        if swap:
            x2, z2, x3, z3 = x3, z3, x2, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a, b * b, d * a, c * b
        x3, z3 = (da + cb) ** 2 % p, x1 * (da - cb) ** 2 % p
        x2, z2 = aa * bb % p, (aa - bb) * (aa + 121665 * (aa - bb)) % p
        if swap:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return (x2 * pow(z2, p - 2, p) % p).to_bytes(32, "little")


def _chacha20_block(key, counter, nonce):
    """RFC 8439, 2.3."""
    start = list(struct.unpack("<16I", b"expand 32-byte k" + key + struct.pack("<I", counter) + nonce))
    x = start[:]

    def rotate(word, count):
        return (word << count | word >> 32 - count) & 0xFFFFFFFF

    def quarter(a, b, c, d):
        for i, j, k, count in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[i] = x[i] + x[j] & 0xFFFFFFFF
            x[k] = rotate(x[k] ^ x[i], count)
    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<16I", *(a + b & 0xFFFFFFFF for a, b in zip(x, start)))


def _chacha20(key, nonce, data):
    stream = b"".join(_chacha20_block(key, 1 + i, nonce) for i in range((len(data) + 63) // 64))
    return bytes(a ^ b for a, b in zip(data, stream))


def _tag(key, nonce, aad, ciphertext):
    """RFC 8439, 2.5 and 2.8."""
    one_time = _chacha20_block(key, 0, nonce)[:32]
    r = int.from_bytes(one_time[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    text = b"".join(part + bytes(-len(part) % 16) for part in (aad, ciphertext))
    text += struct.pack("<QQ", len(aad), len(ciphertext))
    total = 0
    for i in range(0, len(text), 16):
        total = (total + int.from_bytes(text[i : i + 16] + b"\x01", "little")) * r % (2**130 - 5)
    return (total + int.from_bytes(one_time[16:], "little") & 2**128 - 1).to_bytes(16, "little")


def hkdf_extract(salt, secret):
    return hmac.digest(salt, secret, "sha256")


def expand_label(secret, label, context, length=32):
    """HKDF-Expand-Label (RFC 8446, 7.1), for at most one block of output."""
    label = b"tls13 " + label
    info = struct.pack(">HB", length, len(label)) + label + bytes([len(context)]) + context
    return hmac.digest(secret, info + b"\x01", "sha256")[:length]


def sha256(data):
    return hashlib.sha256(data).digest()


class Keys:
    """One direction's traffic keys (RFC 8446, 5.2 and 7.3)."""

    def __init__(self, secret):
        self.secret, self.sequence = secret, 0
        self.key, self.iv = expand_label(secret, b"key", b""), expand_label(secret, b"iv", b"", 12)

    def _nonce(self):
        self.sequence += 1
        return (int.from_bytes(self.iv, "big") ^ (self.sequence - 1)).to_bytes(12, "big")

    def seal(self, inner):
        header, nonce = struct.pack(">BHH", DATA, 0x0303, len(inner) + 16), self._nonce()
        ciphertext = _chacha20(self.key, nonce, inner)
        return header + ciphertext + _tag(self.key, nonce, header, ciphertext)

    def open(self, header, body):
        nonce = self._nonce()
        if not hmac.compare_digest(_tag(self.key, nonce, header, body[:-16]), body[-16:]):
            raise ValueError("bad_record_mac")
        inner = _chacha20(self.key, nonce, body[:-16]).rstrip(b"\0")
        return inner[-1], inner[:-1]

    def renewed(self):
        return Keys(expand_label(self.secret, b"traffic upd", b""))


def message(kind, body):
    return struct.pack(">BI", kind, len(body))[:1] + len(body).to_bytes(3, "big") + body


def extension(kind, body):
    return struct.pack(">HH", kind, len(body)) + body


class ClientHello:
    def __init__(self, data):
        self.data, offset = data, 4 + 2 + 32
        self.session_id = data[offset + 1 : offset + 1 + data[offset]]
        offset += 1 + len(self.session_id)
        offset += 2 + int.from_bytes(data[offset : offset + 2], "big")  # cipher suites
        offset += 1 + data[offset] + 2  # compression methods, length of the extensions
        self.extensions = {}
        while offset < len(data):
            kind, length = struct.unpack_from(">HH", data, offset)
            self.extensions[kind] = data[offset + 4 : offset + 4 + length]
            offset += 4 + length

    def share(self):
        """The client's X25519 share."""
        body, offset = self.extensions[KEY_SHARE], 2
        while offset < len(body):
            group, length = struct.unpack_from(">HH", body, offset)
            if group == X25519:
                return body[offset + 4 : offset + 4 + length]
            offset += 4 + length
        raise ValueError("no X25519 share")

    def check_first_binder(self, psk, transcript):
        body = self.extensions[PRE_SHARED_KEY]
        identities = int.from_bytes(body[:2], "big")
        binders = body[2 + identities :]
        binder_key = expand_label(hkdf_extract(bytes(32), psk), b"ext binder", sha256(b""))
        expected = hmac.digest(expand_label(binder_key, b"finished", b""),
                               sha256(transcript + self.data[: -len(binders)]), "sha256")
        if not hmac.compare_digest(expected, binders[3 : 3 + 32]):
            raise ValueError("the binder does not verify")


class Server:
    """Drives one connection on a blocking socket. handshake() takes hooks for what is to differ from the rules."""

    def __init__(self, sock, psk):
        self.sock, self.psk, self.transcript = sock, psk, b""
        self.receiving = self.sending = None

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            chunk = self.sock.recv(count - len(data))
            if not chunk:
                raise EOFError("the client closed")
            data += chunk
        return data

    def receive(self):
        """The next record that is no change_cipher_spec, as (type, content)."""
        while True:
            header = self._exactly(5)
            body = self._exactly(int.from_bytes(header[3:], "big"))
            if header[0] == DATA and self.receiving:
                return self.receiving.open(header, body)
            if header[0] != CHANGE_CIPHER_SPEC:
                return header[0], body

    def send(self, kind, content):
        if self.sending:
            self.sock.sendall(self.sending.seal(content + bytes([kind])))
            return
        for at in range(0, len(content), 16384):
            part = content[at : at + 16384]
            self.sock.sendall(struct.pack(">BHH", kind, 0x0303, len(part)) + part)

    def _hello(self, random, client, extensions):
        return message(SERVER_HELLO, struct.pack(">H", 0x0303) + random + bytes([len(client.session_id)])
                       + client.session_id + struct.pack(">HBH", CHACHA20_POLY1305, 0, len(extensions)) + extensions)

    def _client_hello(self):
        data = b""
        while len(data) < 4 or len(data) < 4 + int.from_bytes(data[1:4], "big"):
            kind, part = self.receive()
            data += part
            if kind != HANDSHAKE or data[0] != CLIENT_HELLO:
                raise ValueError(f"no ClientHello: {data.hex()}")
        return ClientHello(data)

    def retry(self, client, cookie, extra=b""):
        """HelloRetryRequest (RFC 8446, 4.1.4, 4.4.1); gives the second ClientHello."""
        extensions = extension(SUPPORTED_VERSIONS, struct.pack(">H", TLS_1_3)) + extra
        if cookie is not None:
            extensions += extension(COOKIE, struct.pack(">H", len(cookie)) + cookie)
        request = self._hello(RETRY_RANDOM, client, extensions)
        self.send(HANDSHAKE, request)
        self.transcript = message(254, sha256(client.data)) + request
        second = self._client_hello()
        if cookie is not None and second.extensions.get(COOKIE) != struct.pack(">H", len(cookie)) + cookie:
            raise ValueError("the cookie was not echoed")
        return second

    def handshake(self, cookie=None, retries=0):
        client = self._client_hello()
        for _ in range(retries):
            client = self.retry(client, cookie)
        client.check_first_binder(self.psk, self.transcript)
        private = os.urandom(32)
        share = x25519(private, (9).to_bytes(32, "little"))
        hello = self._hello(os.urandom(32), client, extension(SUPPORTED_VERSIONS, struct.pack(">H", TLS_1_3))
                            + extension(KEY_SHARE, struct.pack(">HH", X25519, 32) + share)
                            + extension(PRE_SHARED_KEY, bytes(2)))
        self.transcript += client.data + hello
        self.send(HANDSHAKE, hello)
        early = hkdf_extract(bytes(32), self.psk)
        secret = hkdf_extract(expand_label(early, b"derived", sha256(b"")), x25519(private, client.share()))
        client_secret = expand_label(secret, b"c hs traffic", sha256(self.transcript))
        server_secret = expand_label(secret, b"s hs traffic", sha256(self.transcript))
        self.sending, self.receiving = Keys(server_secret), Keys(client_secret)
        self._finish(secret, client_secret, server_secret)

    def _finish(self, secret, client_secret, server_secret):
        flight = message(ENCRYPTED_EXTENSIONS, bytes(2))
        self.transcript += flight
        flight += message(FINISHED, self._verify_data(server_secret))
        self.transcript += flight[6:]
        self.send(HANDSHAKE, flight)
        master = hkdf_extract(expand_label(secret, b"derived", sha256(b"")), bytes(32))
        digest = sha256(self.transcript)
        self.sending = Keys(expand_label(master, b"s ap traffic", digest))
        if self.receive() != (HANDSHAKE, message(FINISHED, self._verify_data(client_secret))):
            raise ValueError("the client's Finished does not verify")
        self.receiving = Keys(expand_label(master, b"c ap traffic", digest))

    def _verify_data(self, secret):
        return hmac.digest(expand_label(secret, b"finished", b""), sha256(self.transcript), "sha256")

    def update_keys(self, request):
        self.send(HANDSHAKE, message(KEY_UPDATE, bytes([request])))
        self.sending = self.sending.renewed()

    def close_notify(self):
        self.send(ALERT, b"\x01\x00")
