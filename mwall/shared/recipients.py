"""Recipients that the backend refused behind others that it took: every worker must know them at the retry.

A bounded table of sets of four. A row is written whole and carries a checksum:
a reader that meets half a row, or a writer that died in one, finds nothing,
and the backend is simply asked again.
"""

from __future__ import annotations

import os
import struct
from hashlib import blake2b

from mwall.shared.table import REFUSED_RECIPIENT_OCTETS, REFUSED_RECIPIENT_ROWS, Table

_HEAD = struct.Struct("=16s16sdH")  # checksum, key, expiry in monotonic seconds, octets of the reply
_MAX_REPLY = REFUSED_RECIPIENT_OCTETS - _HEAD.size
_WAYS = 4


class RefusedRecipients:
    """(reverse-path, recipient) to the reply that the recipient gets. Made before the first fork."""

    def __init__(self, table: Table) -> None:
        self._rows = table.refused_recipients
        self._last = table.refused_recipients_until
        self._secret = os.urandom(32)  # so that nobody outside can choose who shares a set with whom

    def remember(self, reverse_path: str, recipient: str, reply: bytes, until: float) -> None:
        """Keeps `reply` for the pair until a monotonic time, in the place of the set that expires first."""
        key = self._key(reverse_path, recipient)
        places = self._places(key)
        place = next((at for at in places if self._row(at)[1] == key), None)
        if place is None:
            place = min(places, key=lambda at: self._row(at)[2])
        body = _HEAD.pack(b"", key, until, len(reply))[16:] + reply
        if len(reply) <= _MAX_REPLY:
            row = self._checksum(body) + body
            self._rows[place : place + len(row)] = row
            self._last[0] = max(self._last[0], until)

    def recall(self, reverse_path: str, recipient: str, now: float) -> bytes | None:
        """The reply kept for the pair, None if there is none any more."""
        if now >= self._last[0]:
            return None  # nothing is kept at all, as almost always
        key = self._key(reverse_path, recipient)
        for place in self._places(key):
            reply, found, until = self._row(place)
            if found == key and now < until:
                return reply
        return None

    def _row(self, place: int) -> tuple[bytes, bytes, float]:
        row = bytes(self._rows[place : place + REFUSED_RECIPIENT_OCTETS])
        checksum, key, until, size = _HEAD.unpack_from(row)
        body = row[16 : _HEAD.size + size]
        return (body[-size:], key, until) if size and self._checksum(body) == checksum else (b"", b"", 0.0)

    def _places(self, key: bytes) -> list[int]:
        first = int.from_bytes(key[:4], "little") % (REFUSED_RECIPIENT_ROWS // _WAYS) * _WAYS
        return [(first + way) * REFUSED_RECIPIENT_OCTETS for way in range(_WAYS)]

    def _key(self, reverse_path: str, recipient: str) -> bytes:
        pair = f"{reverse_path}\0{recipient}".encode("utf-8", "surrogatepass")
        return blake2b(pair, digest_size=16, key=self._secret).digest()

    def _checksum(self, body: bytes) -> bytes:
        return blake2b(body, digest_size=16, key=self._secret).digest()
