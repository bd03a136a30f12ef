"""A DNS server that knows nothing and takes its time: each query by UDP gets NXDOMAIN, with an SOA, after a delay.

    slow_dns.py PORT MILLISECONDS

One thread. All wait equally long, so whoever came first is answered first.
"""

import select
import socket
import struct
import sys
import time
from collections import deque

_ROOM = 8 << 20
_SOA_DATA = b"\2ns\7invalid\0" + b"\5admin\7invalid\0" + struct.pack(">5I", 1, 600, 300, 86400, 300)
_SOA = b"\0" + struct.pack(">HHIH", 6, 1, 300, len(_SOA_DATA)) + _SOA_DATA
_HEAD = struct.pack(">5H", 0x8183, 1, 0, 1, 0)  # response, RD, RA, NXDOMAIN; one question, one authority


def negative(query: bytes) -> bytes:
    """The answer: its id and question are the query's, whatever else that has is left out."""
    end = 12
    while query[end]:
        end += 1 + query[end]
    return query[:2] + _HEAD + query[12 : end + 5] + _SOA


def serve(port: int, delay_seconds: float) -> None:
    """Answers until it is ended."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
    sock.bind(("127.0.0.1", port))
    sock.setblocking(False)
    waiting: deque[tuple[float, bytes, tuple[str, int]]] = deque()
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    while True:
        # Rounded up: too early would be once more around for nothing.
        poll.poll(max(0, (waiting[0][0] - time.monotonic()) * 1000 + 0.5) if waiting else None)
        now = time.monotonic()
        try:
            while True:
                query, client = sock.recvfrom(4096)
                waiting.append((now + delay_seconds, query, client))
        except BlockingIOError:
            pass
        while waiting and waiting[0][0] <= now:
            _, query, client = waiting.popleft()
            try:
                sock.sendto(negative(query), client)
            except (OSError, IndexError):
                continue  # no query, or nobody waits for it


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]) / 1000)
