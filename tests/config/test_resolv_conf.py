"""/etc/resolv.conf as machines have it, and as nobody should."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.config.resolv_conf import parse_resolv_conf
from mwall.config.values import MAX_NAME_SERVERS, parse_nameservers


@pytest.mark.parametrize(("text", "servers"), [
    ("nameserver 192.0.2.1\n", "192.0.2.1"),
    ("nameserver 192.0.2.1\nnameserver 2001:db8::1\n", "192.0.2.1 2001:db8::1"),
    ("# by NetworkManager\nsearch example.org\noptions edns0 trust-ad\n\tnameserver   127.0.0.53  \n", "127.0.0.53"),
    ("nameserver fe80::1%eth0\n", "fe80::1%eth0"),
    ("nameserver 192.0.2.1 # the router\r\nnameserver 192.0.2.1\n", "192.0.2.1"),
    ("nameserver fe80::1\nnameserver 192.0.2.1", "192.0.2.1"),
    ("nameserver\nnameserver dns.example.org\nnameserver 192.0.2.999\n", "127.0.0.1"),
    ("nameserver 0.0.0.0\nnameserver 192.0.2.1:5353\n", "127.0.0.1"),
    (";nameserver 192.0.2.1\nnameservers 192.0.2.2\n", "127.0.0.1"),
    ("", "127.0.0.1"),
    ("\n".join(f"nameserver 192.0.2.{number}" for number in range(1, 12)),
     " ".join(f"192.0.2.{number}" for number in range(1, MAX_NAME_SERVERS + 1))),
])  # fmt: skip
def test_servers(text: str, servers: str) -> None:
    assert parse_resolv_conf(text.encode()) == servers


@given(st.one_of(st.binary(), st.text().map(lambda text: f"nameserver {text}\n".encode("utf-8", "surrogatepass"))))
def test_whatever_stands_there_makes_a_value(octets: bytes) -> None:
    assert parse_nameservers(parse_resolv_conf(octets))
