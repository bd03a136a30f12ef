"""Every check that asks the DNS, from end to end, with rbldnsd for the lists and unbound before it as the resolver."""

from __future__ import annotations

import base64
import hashlib
import re
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.daemon.dns_front import DnsFront, Mail, Result, write_profiles
from tests.daemon.harness import MESSAGE, Client, Daemon, Site
from tests.daemon.scripted_backend import ScriptedBackend
from tests.dns_peers import List, Rbldnsd, Unbound

FILE = b"a file that is known to be bad, " * 8
DIGEST = base64.b32encode(hashlib.sha256(FILE).digest()).decode().rstrip("=").lower()

# 127.1/16 are listed clients; 127.2/16 have names or have none.
LISTS = (
    List("zen.example", "ip4set", ":127.0.0.2:\n127.0.0.2\n127.1.0.0/24\n127.1.3.0/24 :127.0.0.3:\n127.1.4.0/24\n"
         "127.1.9.0/24 :127.0.1.9:\n127.1.255.0/24 :127.255.255.254:\n127.5.0.0/16\n"),
    List("zen.example", "ip6trie", ":127.0.0.4:\n::1\n"),
    List("allow.example", "ip4set", "127.0.0.2\n127.1.4.0/24\n"),
    List("dbl.example", "dnset", ":127.0.1.2:\nbad.example\n.worse.example\nxn--bd-via.example\n"),
    List("uri.example", "dnset", ":127.0.0.2:\nspam-link.example\n"),
    List("hash.example", "dnset", f":127.0.3.10:\n{DIGEST}\n"),
    # What no list does:
    List("all.example", "ip4set", "0.0.0.0/0\n"),
    List("empty.example", "ip4set", "127.1.0.0/16\n"),
    List("error.example", "ip4set", ":127.255.255.255:\n0.0.0.0/0\n"),
    List("names.example", "dnset", ".example\n.invalid\ninvalid\n"),
)  # fmt: skip
RECORDS = (
    "good.example. 300 IN MX 10 mail.good.example.",
    "mail.good.example. 300 IN A 192.0.2.1",
    "six.good.example. 300 IN AAAA 2001:db8::1",
    "text.good.example. 300 IN TXT \"v=spf1 -all\"",
    "null.good.example. 300 IN MX 0 .",
    "3.0.2.127.in-addr.arpa. 300 IN PTR named.good.example.",
    "named.good.example. 300 IN A 127.2.0.3",
    "4.0.2.127.in-addr.arpa. 300 IN PTR liar.good.example.",
    "liar.good.example. 300 IN A 192.0.2.4",
    f"{'1.' + '0.' * 31}ip6.arpa. 300 IN PTR here.good.example.",
    "here.good.example. 300 IN AAAA ::1",
)
PROFILES = {
    "Lists": 'reject_score="3"\ndnsbl="3,zen.example=127.0.0.[2..11]"\ndnsbl="-5,allow.example"\n',
    "Warn": 'reject_score="9"\ndnsbl="1.5,zen.example=127.0.0.3"\ndnsbl="0.5,zen.example"\nrdns_required="1"\n',
    "Watch": 'mode="observe"\ndnsbl="2,zen.example"\n',
    "Plain": 'dnsbl="zen.example"\n',
    "Ours": 'dnsbl="zen.example"\nhelo_required="1"\nrdns_required="1"\nrdns_confirmed="1"\n',
    "Domain": 'dnsbl_domain="dbl.example"\n',
    "Link": 'uribl="uri.example=127.0.0.2"\n',
    "Digest": 'dnsdcc="hash.example=127.0.3.[10..15]"\n',
    "Return": 'rmx_required="1"\n',
    "Named": 'rdns_required="1"\n',
    "Back": 'rdns_confirmed="1"\n',
    "Helo": 'helo_required="1"\n',
    "Odd": 'dnsbl="all.example"\ndnsbl="empty.example"\ndnsbl="error.example"\ndnsbl_domain="names.example"\n'
           'dnsbl="nowhere.example"\n',
}  # fmt: skip


@pytest.fixture(scope="module")
def unbound(
    need_root: None,
    need_program: Callable[[str], str],
    free_port: Callable[[], int],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Unbound]:
    """The resolver, the lists behind it."""
    programs = need_program("rbldnsd"), need_program("unbound")
    folder = tmp_path_factory.mktemp("dns")
    with Rbldnsd(programs[0], free_port(), folder / "rbldnsd", LISTS) as rbldnsd:
        stubs = {entry.zone: rbldnsd.port for entry in LISTS}
        with Unbound(programs[1], free_port(), folder / "unbound", RECORDS, stubs) as running:
            yield running


@pytest.fixture(scope="module")
def front(unbound: Unbound, new_site: Callable[[], Site]) -> Iterator[DnsFront]:
    """One worker with these profiles; shared, as no message may change another's fate."""
    site = new_site()
    write_profiles(site, PROFILES)
    site.put("relay_ips", "127.5.0.0/16\n")
    site.write(
        processes=1, max_backends=4, relay_ips="relay_ips", relay_profile="Ours", listen_ip="127.0.0.1 ::1",
        nameservers=f"127.0.0.1:{unbound.port}", dns_timeout=2,
    )  # fmt: skip
    daemon = Daemon(site)
    with ScriptedBackend(site.backend_port) as backend:
        daemon.start()
        try:
            yield DnsFront(site, backend, daemon)
        finally:
            daemon.end()


def to(profile: str, **more: Any) -> Mail:
    """A message to the recipient with this profile."""
    return Mail(recipient=f"{profile.lower()}@example.org".encode())._replace(**more)


def linked(html: bytes, base64_too: bool = True) -> bytes:
    """A message in HTML."""
    head = b"From: A <a@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n"
    if not base64_too:
        return head + b"\r\n" + html
    return head + b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(html).replace(b"\n", b"\r\n")


def attached(octets: bytes) -> bytes:
    """A message with a file."""
    return (
        b'From: A <a@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
        b"--b\r\n\r\nsee the file\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(octets).replace(b"\n", b"\r\n") + b"--b--"
    )


LINK = b'<html><body><a href="http://www.SPAM-link.example/offer?x=1">here</a></body></html>'

# Who is refused, by which check and with what reason; or passes, and no check finds anything.
WHO = [
    (to("Lists", source="127.1.0.7"), "DNSBL", r"127\.1\.0\.7 is listed by zen\.example \(127\.0\.0\.2\)"),
    (to("Lists", source="127.1.3.7"), "DNSBL", r"127\.1\.3\.7 is listed by zen\.example \(127\.0\.0\.3\)"),
    (to("Lists", source="::1"), "DNSBL", r"::1 is listed by zen\.example \(127\.0\.0\.4\)"),
    (to("Lists", source="127.1.9.7"), "", ""),  # an answer that the filter leaves out
    (to("Plain", source="127.1.9.7"), "DNSBL", r"127\.1\.9\.7 is listed by zen\.example \(127\.0\.1\.9\)"),
    (to("Plain", source="127.1.255.7"), "", ""),  # an answer that tells an error
    (to("Lists", source="127.0.0.9"), "", ""),
    (to("Domain", domain=b"bad.example"), "DNSBL_DOMAIN", r"bad\.example is listed by dbl\.example \(127\.0\.1\.2\)"),
    (to("Domain", domain=b"BAD.Example"), "DNSBL_DOMAIN", r"(?:bad|BAD)\.[Ee]xample is listed by dbl\.example .*"),
    (to("Domain", domain=b"a.worse.example"), "DNSBL_DOMAIN", r"a\.worse\.example is listed by .*"),
    (to("Domain", domain=b"a.bad.example"), "", ""),
    (to("Domain", domain=b"[192.0.2.1]"), "", ""),
    (to("Domain", domain=b""), "", ""),
    (to("Link", message=linked(LINK)), "URIBL", r"[ -~]*spam-link\.example is listed by uri\.example \(127\.0\.0\.2\)"),
    (to("Link", message=linked(LINK, False)), "URIBL", r"[ -~]*spam-link\.example is listed by [ -~]*"),
    (to("Link", message=linked(LINK.replace(b"SPAM-link", b"other"))), "", ""),
    (to("Digest", message=attached(FILE)), "DNSDCC", rf"the digest {DIGEST} of [ -~]+ is listed by hash\.example .*"),
    (to("Digest", message=attached(FILE + b".")), "", ""),
    (to("Return", domain=b"gone.example"), "RMX_REQUIRED", r"gone\.example does not exist"),
    (to("Return", domain=b"text.good.example"), "RMX_REQUIRED", r"text\.good\.example has no MX, A or AAAA record"),
    (to("Return", domain=b"null.good.example"), "RMX_REQUIRED", r"null\.good\.example accepts no mail: null MX"),
    (to("Return", domain=b"good.example"), "", ""),
    (to("Return", domain=b"mail.good.example"), "", ""),
    (to("Return", domain=b"six.good.example"), "", ""),
    (to("Return", domain=b""), "", ""),
    (to("Named", source="127.2.0.9"), "RDNS_REQUIRED", r"127\.2\.0\.9 [ -~]+"),
    (to("Named", source="127.2.0.4"), "", ""),
    (to("Back", source="127.2.0.9"), "RDNS_CONFIRMED", r"127\.2\.0\.9 [ -~]+"),
    (to("Back", source="127.2.0.4"), "RDNS_CONFIRMED", r"[ -~]+"),
    (to("Back", source="127.2.0.3"), "", ""),
    (to("Back", source="::1"), "", ""),
    (to("Helo", helo=b"gone.example"), "HELO_REQUIRED", r"[ -~]*gone\.example [ -~]+"),
    (to("Helo", helo=b"user-pc"), "HELO_REQUIRED", r"[ -~]*user-pc [ -~]+"),
    (to("Helo", helo=b"mail.good.example"), "", ""),
    (to("Helo", helo=b"six.good.example"), "", ""),
    (to("Helo", helo=b"MAIL.good.example."), "", ""),
    (to("Helo", helo=b"[127.0.0.9]"), "", ""),
    (to("Helo", helo=b"127.0.0.9"), "HELO_REQUIRED", r"127\.0\.0\.9 can be no host name"),
    (to("Odd", source="127.1.0.7", domain=b"bad.example"), "", ""),
]


@pytest.mark.parametrize(("mail", "check", "reason"), WHO, ids=range(len(WHO)))
def test_who_is_refused(front: DnsFront, mail: Mail, check: str, reason: str) -> None:
    result = front.send(mail)
    assert result.refused_by(check, reason) if check else result.unscored, result
    assert not result.unanswered


def test_a_list_of_good_ones_lets_off(front: DnsFront) -> None:
    result = front.send(to("Lists", source="127.1.4.7"))
    assert result.reply.startswith(b"250 ") and " score=-2/3 " in result.line and not result.unanswered


def test_what_is_below_the_limit_is_in_the_header(front: DnsFront) -> None:
    result = front.send(to("Warn", source="127.1.3.7"))
    assert result.reply.startswith(b"250 ") and " score=3/9 " in result.line
    header = front.backend.deliveries[-1].mail_data.partition(b"\r\n\r\n")[0]
    warnings = re.findall(rb"X-MessageWall-Warning: (\w+): ", header)
    assert sorted(warnings) == [b"DNSBL", b"DNSBL", b"RDNS_REQUIRED"]


def test_observe_refuses_nothing_at_rcpt_either(front: DnsFront) -> None:
    front.send(to("Watch", source="127.1.0.8"))
    result = front.send(to("Watch", source="127.1.0.8"))
    assert result.reply.startswith(b"250 ") and "MESSAGE/ACCEPT" in result.line and " score=2/1 " in result.line


def test_a_name_that_leads_back_is_in_the_received_field(front: DnsFront) -> None:
    front.send(to("Back", source="127.2.0.3"))
    received = front.backend.deliveries[-1].mail_data.partition(b"\r\nX-MessageWall")[0]
    assert re.match(rb"Received: from mail\.good\.example \(named\.good\.example \[127\.2\.0\.3\]\)", received)


def test_a_listed_client_gets_no_data(front: DnsFront) -> None:
    """Refused at RCPT once the answers are there, as they are for the second connection."""
    front.send(to("Lists", source="127.1.0.9"))
    connections = len(front.backend.connections)
    with Client(front.site.port, "127.1.0.9") as client:
        client.ask(b"EHLO early.example", b"MAIL FROM:<a@good.example>")
        for recipient in (b"lists", b"lists+2"):
            answer = client.ask(b"RCPT TO:<%s@example.org>" % recipient)
            assert answer == (
                b"550 5.7.1 MessageWall: DNSBL/REJECT: 127.1.0.9 is listed by zen.example (127.0.0.2)\r\n"
            )
        assert re.match(rb"(503|554) 5\.5\.1 ", client.ask(b"DATA"))
    line = front.daemon.logged(r"RECIPIENT/REJECT: .*helo=early\.example ")
    assert " profile=Lists " in line and " checks=DNSBL:3 " in line
    assert len(front.backend.connections) == connections


def test_each_transaction_is_looked_at_anew(front: DnsFront) -> None:
    """In one session: other reverse-paths, other EHLO names, other profiles; what one had, the next has not."""
    refused = rb"55[04] 5\.7\.1 MessageWall: %s/REJECT: [ -~]+\r\n"
    with Client(front.site.port) as client:
        client.ask(b"EHLO mail.good.example")
        for profile, domain, check in (
            (b"domain", b"bad.example", b"DNSBL_DOMAIN"),
            (b"domain", b"good.example", b""),
            (b"domain", b"bad.example", b"DNSBL_DOMAIN"),
            (b"return", b"bad.example", b"RMX_REQUIRED"),
            (b"lists", b"bad.example", b""),
            (b"helo", b"bad.example", b""),
        ):
            answer = transaction(client, profile, domain)
            assert re.fullmatch(refused % check, answer) if check else answer.startswith(b"250 "), (profile, answer)
        client.ask(b"EHLO gone.example")
        assert re.fullmatch(refused % b"HELO_REQUIRED", transaction(client, b"helo", b"good.example"))
        client.ask(b"HELO mail.good.example")
        assert transaction(client, b"helo", b"good.example").startswith(b"250 ")


def transaction(client: Client, profile: bytes, domain: bytes) -> bytes:
    """The last reply, the transaction over in any case."""
    answer = client.ask(b"RSET", b"MAIL FROM:<a@%s>" % domain, b"RCPT TO:<%s@example.org>" % profile)
    return client.ask(b"DATA", MESSAGE + b".") if answer.startswith(b"250 ") else answer


def test_one_profile_refuses_the_other_takes(front: DnsFront) -> None:
    """A recipient who is refused leaves the transaction to one of another profile."""
    assert not front.send(to("Lists", source="127.1.0.10")).unscored
    with Client(front.site.port, "127.1.0.10") as client:
        client.ask(b"EHLO mail.good.example", b"MAIL FROM:<a@good.example>")
        assert client.ask(b"RCPT TO:<lists@example.org>").startswith(b"550 5.7.1 ")
        assert client.ask(b"RCPT TO:<helo@example.org>").startswith(b"250 ")
        assert client.ask(b"RCPT TO:<lists@example.org>").startswith(b"452 ")
        assert client.ask(b"DATA", MESSAGE + b".").startswith(b"250 ")
    assert front.backend.deliveries[-1].recipients == (b"RCPT TO:<helo@example.org>",)


def test_relay_clients_are_on_no_list(front: DnsFront) -> None:
    """Nor do they need a name."""
    result = front.send(to("Lists", source="127.5.0.7", helo=b"printer"))
    assert result.unscored and " profile=Ours " in result.line


def misbehaving(daemon: Daemon) -> set[str]:
    """The lists that the log complains of."""
    return set(re.findall(r"/WARNING: .*?\b(\w+\.example)\b", daemon.log()))


def test_lists_that_misbehave_are_reported(front: DnsFront) -> None:
    expected = {"all.example", "empty.example", "error.example", "names.example", "nowhere.example"}
    for zone in expected:
        front.daemon.logged(rf"/WARNING: .*\b{zone}\b")
    assert misbehaving(front.daemon) == expected


def test_counters(front: DnsFront) -> None:
    front.send(to("Lists", source="127.1.0.7"))
    front.daemon.signal(signal.SIGUSR1)
    line = front.daemon.logged(r"COUNTERS.*\bzen\.example\b")
    numbers = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", line)}
    assert numbers["asked"] >= numbers["listed"] > 0 and numbers["late"] == 0
    line = front.daemon.logged("COUNTERS.* dns_queries=")
    numbers = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", line)}
    assert numbers["dns_queries"] > 20 and numbers["dns_cache_hits"] > 10 and numbers["dns_timeouts"] == 0


def test_a_list_that_a_hup_brings_is_looked_at(front: DnsFront) -> None:
    """Last, since a new generation begins with nothing."""
    front.site.put("profiles/Odd", 'dnsbl="later.example"\ndnsbl_domain="dbl.example"\n')
    front.daemon.signal(signal.SIGHUP)
    front.daemon.logged(r"/WARNING: .*\blater\.example\b")
    assert "dbl.example" not in misbehaving(front.daemon)
    assert front.send(to("Odd", domain=b"bad.example")).refused_by("DNSBL_DOMAIN", ".*")


# Servers that are not there

SECONDS = 3 * 0.3 + 1.5  # three tries, and a margin


@pytest.mark.parametrize("kind", ["dead", "silent"])
@pytest.mark.parametrize("has_second", [False, True])
def test_without_a_server(
    site: Site, daemon: Daemon, free_port: Callable[[], int], unbound: Unbound, kind: str, has_second: bool
) -> None:
    """Nothing is refused and nobody waits long; where there is a second server, all is as it should be."""
    write_profiles(site, PROFILES)
    port = free_port()
    second = f" [::1]:{unbound.port}" if has_second else ""
    site.write(nameservers=f"127.0.0.1:{port}{second}", dns_timeout=0.3, processes=1, max_backends=2)
    with ScriptedBackend(site.backend_port) as backend, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        if kind == "silent":
            silent.bind(("127.0.0.1", port))
        daemon.start()
        front = DnsFront(site, backend, daemon)
        result = front.send(Mail(source="127.1.0.7", domain=b"bad.example"))
        assert result.seconds < SECONDS
        if has_second:
            assert result.refused_by("DNSBL", ".*") and not result.unanswered
            assert all(quick_of(front.send(Mail(source=f"127.1.0.{number}"))) for number in range(10, 15))
        else:
            assert result.unscored and "zen.example" in result.unanswered, result
            every = [to(profile) for profile in PROFILES]
            assert all(result.unscored and result.seconds < SECONDS for result in front.send_all(every))


def quick_of(result: Result) -> bool:
    """Refused by a server that is not the dead one: that one is asked last by now."""
    return result.refused_by("DNSBL", ".*") and result.seconds < 0.3


def test_a_server_with_a_scope_is_found_in_the_jail_too(site: Site, daemon: Daemon) -> None:
    site.write(nameservers="fe80::1%lo")
    daemon.start()
    site.write(nameservers="127.0.0.1 [fe80::2%nosuch0]:53")
    daemon.signal(signal.SIGHUP)
    daemon.logged(rf"{site.file}:\d+: nameservers: \[fe80::2%nosuch0\]:53 cannot be used: No such device")
    site.write(nameservers="fe80::2%lo")
    daemon.signal(signal.SIGHUP)
    daemon.logged("reloaded: 2 workers")
