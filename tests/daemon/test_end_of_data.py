"""The end of data is CRLF.CRLF and nothing else, however it was sent; before a backend that takes every other ending
for one, a transaction is at most one message there (no SMTP smuggling)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.daemon.harness import Client, Daemon, Site
from tests.daemon.scripted_backend import LenientBackend

NO_END = [
    b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\n", b"\n.\r", b"\r.\r\n", b"\r\n.\r", b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n. \r\n", b"\r\n..\r\n", b"\n\r.\n\r", b"\r\n.\x1a\r\n",
    # And some that mending could make an end of, were it done carelessly.
    b"\r\0\n.\r\n", b"\r\n.\r\0\n", b"\r\n\0\0.\0\0\r\n", b"\n.\0\n", b"\r\n.\n\r\n", b"\r\n\r.\r\n",
    b"\r\n.\n.\r\n..\n",
]  # fmt: skip
END = [b".\r\n", b"x\r\r\n.\r\n", b"x\r\n.\r\n", b"x\r\n\r\n.\r\n", b"x\n\r\n.\r\n", b"x\0\r\n.\r\n", b"..\r\n.\r\n"]
HEADER = b"Subject: first\r\n\r\nbefore"
SMUGGLED = (
    b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<evil@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\nevil\r\n.\r\n"
)


class Byways:
    """A client whose every piece is read by the daemon before the next one is sent: asked of the kernel, no sleeps."""

    def __init__(self, port: int) -> None:
        self.client = Client(port)
        assert self.client.ask(b"EHLO x").startswith(b"250")

    def transaction(self, *pieces: bytes) -> bytes:
        """The reply to mail data sent in these pieces."""
        opening = (b"MAIL FROM:<a@example.org>", b"RCPT TO:<b@example.org>", b"DATA")
        assert self.client.ask(*opening).startswith(b"354 ")
        for piece in pieces[:-1]:
            self.client.send(piece)
            self.client.wait_until_read()
        self.client.send(pieces[-1])
        return self.client.reply()


@pytest.fixture(scope="module", params=["reject", "normalize"])
def lenient(request: pytest.FixtureRequest, new_site: Callable[[], Site]) -> Iterator[tuple[str, Site, LenientBackend]]:
    """A daemon with either bare_newline before a lenient backend."""
    site: Site = new_site()
    site.write(bare_newline=request.param, processes=1, max_backends=1, default_profile="None")
    daemon = Daemon(site)
    with LenientBackend(site.backend_port) as backend:
        daemon.start()
        try:
            yield request.param, site, backend
        finally:
            daemon.end()


def is_clean(data: bytes) -> bool:
    """Whether these octets are (line CRLF)* with no CR, LF or NUL in a line."""
    return data.endswith(b"\r\n") and not {0, 10, 13} & set(data.replace(b"\r\n", b""))


def ways(data: bytes, at: int, width: int) -> Iterator[tuple[bytes, ...]]:
    """The data whole, octet by octet around the sequence, and cut in two at every place of it."""
    yield (data,)
    start, end = max(0, at - 1), min(len(data), at + width + 1)
    yield (data[:start], *(data[i : i + 1] for i in range(start, end)), data[end:])
    for cut in range(start + 1, end):
        yield data[:cut], data[cut:]


def check(mode: str, backend: LenientBackend, data: bytes, answer: bytes) -> None:
    """One reply for one transaction, and at most one message behind it."""
    faulty = bool({0, 10, 13} & set(data.replace(b"\r\n", b"")))
    if mode == "reject" and faulty:
        assert answer.startswith(b"550 5.5.2 MessageWall: ")
        assert not backend.dots
    else:
        assert answer.startswith(b"250 ")
        (delivery,) = backend.dots
        assert delivery.reverse_path.startswith(b"MAIL FROM:<a@example.org>")
    assert not any(b"evil" in line for line in backend.commands(b"MAIL"))
    assert all(is_clean(connection.received) for connection in backend.connections)


@pytest.mark.parametrize("sequence", NO_END)
def test_what_does_not_end_the_data(lenient: tuple[str, Site, LenientBackend], sequence: bytes) -> None:
    mode, site, backend = lenient
    data = HEADER + sequence + SMUGGLED
    peer = Byways(site.port)
    for pieces in ways(data, len(HEADER), len(sequence)):
        backend.reset()
        check(mode, backend, data, peer.transaction(*pieces))
        assert peer.client.ask(b"NOOP").startswith(b"250 2.0.0 "), "one reply, and the session stands"
    peer.client.close()


@pytest.mark.parametrize("sequence", END)
def test_what_ends_the_data(lenient: tuple[str, Site, LenientBackend], sequence: bytes) -> None:
    mode, site, backend = lenient
    peer = Byways(site.port)
    for pieces in ways(sequence, 0, len(sequence)):
        backend.reset()
        check(mode, backend, sequence, peer.transaction(*(piece for piece in pieces if piece)))
        assert peer.client.ask(b"NOOP").startswith(b"250 2.0.0 ")
    peer.client.close()


def test_commands_may_stand_right_behind_the_end(lenient: tuple[str, Site, LenientBackend]) -> None:
    """RFC 2920: what follows the end of data may have been sent ahead."""
    mode, site, backend = lenient
    data = HEADER + b"\r\n.\r\n"
    peer = Byways(site.port)
    for pieces in ways(data + b"NOOP\r\nRSET\r\n", len(data) - 5, 5):
        backend.reset()
        check(mode, backend, data, peer.transaction(*pieces))
        assert peer.client.reply().startswith(b"250 2.0.0 ") and peer.client.reply().startswith(b"250 2.0.0 ")
    peer.client.close()


def test_what_the_lenient_backend_would_have_taken() -> None:
    """It is the reader that these tests need: it takes each of these endings for the end."""
    backend = LenientBackend(0)
    for sequence in (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\r\n.\r\r\n", b"\r\n.\0\r\n", b"\r\n\0.\r\n"):
        assert backend.find_end(HEADER + sequence) is not None
    assert backend.find_end(HEADER + b"\r\n..\r\n. \r\n") is None
