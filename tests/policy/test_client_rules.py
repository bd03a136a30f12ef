"""client_ip and reverse_path."""

from collections.abc import Callable
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mwall.policy.client_rules import parse_reverse_path
from mwall.policy.verdict import Verdict

Weigh = Callable[..., Verdict]


@pytest.mark.parametrize(
    ("value", "client_address", "fails"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.0/24", "192.0.2.255", True),
        ("192.0.2.0/24", "192.0.3.0", False),
        ("0.0.0.0/0", "192.0.2.1", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("::/0", "2001:db8::1", True),
        ("::/0", "192.0.2.1", False),
        ("2001:db8::/32", "2001:db8:1::1", True),
    ],
)
def test_client_ip(weigh: Weigh, value: str, client_address: str, fails: bool) -> None:
    verdict = weigh(f'reject_score="9"\nclient_ip="-5,{value}"', "", client_address=client_address)
    expected = [("CLIENT_IP", f"{client_address} is in {value}", -5000)] if fails else []
    assert verdict.findings == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.ip_addresses(v=4), st.ip_addresses(v=4), st.integers(0, 32))
def test_networks_are_those_of_ipaddress(weigh: Weigh, client, inside, length: int) -> None:
    network = ip_network((int(inside), length), strict=False)
    verdict = weigh(f'reject_score="9"\nclient_ip="{network}"', "", client_address=str(client))
    assert bool(verdict.findings) == (ip_address(client) in network)


@pytest.mark.parametrize(
    ("value", "reverse_path", "fails"),
    [
        ("jane@example.org", "Jane@Example.ORG", True),
        ("Jane@Example.org", "jane@example.org", True),
        ("jane@example.org", "x.jane@example.org", False),
        ("example.org", "jane@example.org", True),
        ("example.org", "jane@mail.example.org", False),
        ("example.org", "jane@badexample.org", False),
        (".example.org", "jane@mail.example.org", True),
        (".example.org", "jane@a.b.example.org", True),
        (".example.org", "jane@example.org", False),
        ("[192.0.2.1]", "jane@[192.0.2.1]", True),
        ('"jane"@example.org', "jane@example.org", True),
        ("example.org", "", False),
    ],
)
def test_reverse_path(weigh: Weigh, value: str, reverse_path: str, fails: bool) -> None:
    verdict = weigh(f'reject_score="9"\nreverse_path="2,{value}"', "", reverse_path=reverse_path)
    assert [(finding.check, finding.score) for finding in verdict.findings] == [("REVERSE_PATH", 2000)] * fails


@pytest.mark.parametrize(
    "text", ["", ".", "<>", "@example.org", ".jane@example.org x", "a b", ".[192.0.2.1]", "a..b", "@"]
)
def test_what_is_no_reverse_path(text: str) -> None:
    with pytest.raises(ValueError, match="is neither an address"):
        parse_reverse_path(text)
