"""What messagewall_profiles(5), messagewall.conf(5) and messagewall(1) promise of the DNS, from the pages alone."""

from __future__ import annotations

import contextlib
import itertools
import re
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.daemon.dns_faults import late, nothing, other_id, refusing, then_right
from tests.daemon.dns_front import DnsFront, Mail, Result, entry, write_profiles
from tests.daemon.harness import MESSAGE, Client, Daemon, Site, until
from tests.daemon.hostile_dns import HostileDns, a, mx
from tests.daemon.scripted_backend import ScriptedBackend

KEY = "_file.0a1b2c3d4e5f6g7h8i9j.hbl.example"  # a label of 20, which is a key
NO_KEY = "0a1b2c3d4e5f6g7h8i9.list.example"  # one of 19, which is none
PROFILES = {
    "Def": 'dnsbl="bl.example"\n',
    "None": 'reject="0"\n',
    "Ten": 'dnsbl="0.1,ten.example"\n' * 10,
    "Nine": 'dnsbl="0.1,ten.example"\n' * 9 + 'dnsbl="0.099,ten.example"\n',
    "Two": 'reject_score="2"\ndnsbl="1.5,a.example"\ndnsbl="1.25,b.example"\n',
    "Filter": 'dnsbl="1,filter.example=127.0.[0;1].[2..4;9]"\n',
    "Any": 'dnsbl="1,any.example"\n',
    "GoodBad": 'reject_score="2"\ndnsbl="3,a.example"\ndnsbl="-2,good.example=127.0.[0..255].[2;3]"\n',
    "Little": 'reject_score="2"\ndnsbl="3,a.example"\ndnsbl="-1,good.example"\n',
    "Header": 'dnsbl="1,a.example"\nheader_reject="-1,X-Good:yes"\n',
    "Body": 'dnsbl="1,a.example"\nbody_reject="-1,thank you"\n',
    "BadGood": 'dnsbl="1,a.example"\ndnsbl="-1,everybody.example"\n',
    "Bad": "".join(f'dnsbl="1,{zone}.example"\n' for zone in ("everybody", "without", "error", "away", "elsewhere")),
    "BadNames": 'dnsbl_domain="1,badnames.example"\nuribl="1,badnames.example"\ndnsdcc="1,badnames.example"\n',
    "Sender": 'dnsbl_domain="1,dd.example"\n',
    "Observe": 'mode="observe"\ndnsbl="5,a.example"\ndnsbl_domain="0.5,dd.example"\n',
    "Slow": 'reject_score="2"\ndnsbl="1,a.example"\ndnsbl="1,slow.example"\n',
    "Dead": 'dnsbl_domain="1,dead.example"\n',
    "ClientSum": 'client_ip="-1,127.0.21.1"\nclient_ip="127.0.21.3"\nreverse_path="0.5,listed.example"\n'
    'dnsbl="1.5,a.example"\n',
    "Keys": f'dnsbl="1,{NO_KEY}"\ndnsbl="1,{KEY}"\n',
    "Helo": 'helo_required="1"\n',
    "RelayDns": 'dnsbl="1,bl.example"\nrmx_required="1"\ndnsbl_domain="1,dd.example"\n',
    "Count": 'dnsbl="1,count.example"\n',
    "CountTwo": 'reject_score="9"\ndnsbl="1,count2.example"\nuribl="1,zz.example"\ndnsbl="1,dead.example"\n',
}
LISTS = ("bl", "ten", "a", "b", "filter", "any", "good", "slow", "count", "count2", "dead", NO_KEY[:-8], KEY[:-8])
_numbers = itertools.count(1)


def fresh() -> str:
    """An address that no other test comes from."""
    number = next(_numbers)
    return f"127.1.{number // 250}.{number % 250 + 3}"


@pytest.fixture(scope="module")
def dns(free_port: Callable[[], int]) -> Iterator[HostileDns]:
    """One name server for all."""
    with HostileDns(free_port(), [f"{zone}.example" for zone in LISTS]) as server:
        for address in ("1.0.0.127", "2.0.0.127"):
            server.add(f"{address}.everybody.example", a("127.0.0.2"))
            server.add(f"{address}.error.example", a("127.255.255.254"))
            server.add(f"{address}.elsewhere.example", a("192.0.2.80"))
            server.add(f"{address}.nobodyhasit.example", a("127.0.0.2"))
            server.fault_of[f"{address}.away.example"] = refusing(2)
        server.add("invalid.badnames.example", a("127.0.0.2"))
        server.add("good.example", mx(10, "mail.good.example"))
        server.add("mail.good.example", a("127.0.0.9"))
        server.add("listed.example.dd.example", a("127.0.1.2"))
        yield server


@contextlib.contextmanager
def serving(site: Site, dns: HostileDns, profiles: dict[str, str]) -> Iterator[DnsFront]:
    """A daemon with one worker, and no profile but these: the first is the default, 127.0.7.0/24 has RelayDns."""
    for shipped in (site.folder / "profiles").iterdir():
        shipped.unlink()
    write_profiles(site, profiles)
    site.put("profiles/Unused", 'dnsbl="1,nobodyhasit.example"\n')
    site.put("relay_ips", "127.0.7.0/24\n")
    site.write(listen_ip="127.0.0.1 ::1", relay_ips="relay_ips", relay_profile="RelayDns", processes=1)
    site.write(nameservers=f"127.0.0.1:{dns.port}", dns_timeout=0.2, check_timeout=1, max_backends=20)
    daemon = Daemon(site)
    with ScriptedBackend(site.backend_port) as backend:
        daemon.start()
        try:
            yield DnsFront(site, backend, daemon)
        finally:
            daemon.end()


@pytest.fixture(scope="module")
def front(new_site: Callable[[], Site], dns: HostileDns) -> Iterator[DnsFront]:
    """One daemon for all."""
    with serving(new_site(), dns, PROFILES) as running:
        yield running


def listed(dns: HostileDns, source: str, *zones: str, answer: str = "127.0.0.4") -> str:
    """Puts the address into lists."""
    for zone in zones:
        dns.add(entry(source, zone), a(answer))
    return source


def to(profile: str, **more: object) -> Mail:
    """Mail to the recipient of a profile."""
    return Mail(recipient=f"{profile.lower()}@example.org".encode(), **more)  # type: ignore[arg-type]


def checks(result: Result) -> str:
    """What hit, as in the log; with the score before it."""
    match = re.search(r" score=(\S+) checks=(\S*)", result.line)
    return f"{match[1]} {match[2]}" if match else result.line


def counters(front: DnsFront) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """The counters now, and those of each list."""
    marker = len(front.daemon.log())
    front.daemon.signal(signal.SIGUSR1)
    until(lambda: "zone=zz.example " in front.daemon.log()[marker:], "the last list", 5)
    *zones, total = [
        (zone, {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)(?!\S)", line)})
        for line in reversed(front.daemon.log()[marker:].splitlines())
        for zone in re.findall(r"COUNTERS/INFO: (?:zone=)?(\S+) ", line)
    ]
    return total[1], dict(zones)


def test_refusal_at_rcpt_reads_as_the_pages_say(front: DnsFront, dns: HostileDns) -> None:
    """The reply, and the line with helo, profile, score and checks before the reply; the heavier reason is told."""
    source = listed(dns, fresh(), "a.example", "b.example")
    result = front.send(to("Two", source=source))
    said = f"550 5.7.1 MessageWall: DNSBL/REJECT: {source} is listed by a.example (127.0.0.4)"
    assert result.reply.decode() == said + "\r\n"
    fields = re.escape("helo=mail.good.example profile=Two score=2.75/2 checks=DNSBL:1.5,DNSBL:1.25 ")
    log = rf"\{{1\}} \({source}\) RECIPIENT/REJECT: from=<a@good\.example> to=<two\+m\d+@example\.org> {fields}"
    assert re.search(rf'{log}reply="{re.escape(said)}"$', result.line), result


def test_sums_are_exact(front: DnsFront, dns: HostileDns) -> None:
    """Ten times 0.1 is 1, 0.999 is not; equal lines each hit, one question is asked."""
    source = listed(dns, fresh(), "ten.example")
    ten, nine = front.send_all(to(name, source=source) for name in ("Ten", "Nine"))
    assert ten.reply.startswith(b"550 5.7.1 ") and " score=1/1 " in ten.line
    assert nine.reply.startswith(b"250 ") and " score=0.999/1 " in nine.line
    assert len(dns.asked(entry(source, "ten.example"))) == 1


def test_filters(front: DnsFront, dns: HostileDns) -> None:
    """What 127.0.[0;1].[2..4;9] counts, what is counted without a filter, and what never counts."""
    answers_of = {
        "filter hit": "127.0.0.2|127.0.1.4|127.0.1.9|127.0.0.1 127.0.0.7 127.0.0.3|192.0.2.1 127.0.0.3",
        "filter passes": "127.0.0.5|127.0.0.1|127.0.2.2|127.1.0.2|127.0.1.10",
        "any hit": "127.0.0.0|127.0.0.1|127.255.254.255|127.255.255.254 127.0.0.2",
        "any passes": "127.255.255.0|127.255.255.255|126.255.255.255|128.0.0.0|255.0.0.127",
    }
    cases = [(*kind.split(), answer) for kind, answers in answers_of.items() for answer in answers.split("|")]
    sources = [fresh() for _ in cases]
    for source, (profile, _, answer) in zip(sources, cases, strict=True):
        dns.add(entry(source, f"{profile}.example"), *map(a, answer.split()))
    results = front.send_all(to(case[0], source=source) for source, case in zip(sources, cases, strict=True))
    for case, result in zip(cases, results, strict=True):
        assert result.reply.startswith(b"550 ") if case[1] == "hit" else result.unscored, (case, result)


def test_names_with_keys_are_hidden(front: DnsFront, dns: HostileDns) -> None:
    """A label of 20 is a key in replies and header fields, one of 19 is none."""
    for zone, shown in ((KEY, "_file.*.hbl.example"), (NO_KEY, NO_KEY)):
        source = listed(dns, fresh(), zone)
        said = re.escape(f"{source} is listed by {shown} (127.0.0.4)")
        assert front.send(to("Keys", source=source)).refused_by("DNSBL", said)


def test_observe_refuses_nothing_and_tells(front: DnsFront, dns: HostileDns) -> None:
    """The message has the fields; the log has what would have been."""
    source = listed(dns, fresh(), "a.example")
    result = front.send(to("Observe", source=source, domain=b"listed.example"))
    assert result.reply.startswith(b"250 ") and checks(result) == "5.5/1 DNSBL:5,DNSBL_DOMAIN:0.5"
    tag = re.search(r"\+m\d+@", result.line)
    assert tag is not None
    (mail,) = [one.mail_data for one in front.backend.deliveries if tag[0].encode() in one.recipients[0]]
    assert b"X-MessageWall-Score: 5.5 (mx.example.org)\r\n" in mail
    unfolded = re.sub(rb"\r\n[ \t]+", b" ", mail)
    assert f"X-MessageWall-Warning: DNSBL: {source} is listed by a.example (127.0.0.4) (5)\r\n".encode() in unfolded
    assert b"X-MessageWall-Warning: DNSBL_DOMAIN: listed.example is listed by dd.example (127.0.1.2) (0.5)" in unfolded


def test_what_holds_early_refusal_back(front: DnsFront, dns: HostileDns) -> None:
    """A good list that has the client, one that could not make up for it, scores of header and body, client_ip."""
    good = listed(dns, listed(dns, fresh(), "a.example"), "good.example", answer="127.0.5.2")
    weak = listed(dns, listed(dns, fresh(), "a.example"), "good.example", answer="127.0.5.1")
    assert checks(front.send(to("GoodBad", source=good))) == "1/2 DNSBL:3,DNSBL:-2"
    for name, source, hits in (("GoodBad", weak, "3/2 DNSBL:3"), ("Little", good, "2/2 DNSBL:3,DNSBL:-1")):
        result = front.send(to(name, source=source))
        assert result.reply.startswith(b"550 ") and checks(result) == hits
    for name, message, code in (
        ("Header", b"X-Good: yes\r\n" + MESSAGE, b"250 "),
        ("Header", MESSAGE, b"554 5.7.1 MessageWall: DNSBL/REJECT: "),
        ("Body", MESSAGE + b"thank\r\nyou\r\n", b"250 "),
        ("Body", MESSAGE, b"554 5.7.1 MessageWall: DNSBL/REJECT: "),
    ):
        assert front.send(to(name, source=good, message=message)).reply.startswith(code)


def test_client_ip_and_reverse_path_count_at_rcpt(front: DnsFront, dns: HostileDns) -> None:
    """With the answers, and without any; a negative one of these is known and holds nothing back."""
    for source in ("127.0.21.1", "127.0.21.2"):
        listed(dns, source, "a.example")
    result = front.send(to("ClientSum", source="127.0.21.3"))
    assert result.reply.startswith(b"550 5.7.1 MessageWall: CLIENT_IP/REJECT: "), result
    result = front.send(to("ClientSum", source="127.0.21.1", domain=b"listed.example"))
    assert result.reply.startswith(b"550 5.7.1 MessageWall: DNSBL/REJECT: ") and " score=1/1 " in result.line
    assert " score=0.5/1 " in front.send(to("ClientSum", source="127.0.21.1")).line
    assert " score=1.5/1 " in front.send(to("ClientSum", source="127.0.21.2")).line


def test_pending_good_list_holds_back_and_then_scores_nothing(front: DnsFront, dns: HostileDns) -> None:
    """RCPT is accepted after some 75 ms, and the message refused once the wait for the good list is over."""
    source = listed(dns, fresh(), "a.example")
    dns.fault_of[entry(source, "good.example")] = nothing
    with Client(front.site.port, source) as client:
        client.ask(b"EHLO x.example", b"MAIL FROM:<a@good.example>")
        began = time.monotonic()
        assert client.ask(b"RCPT TO:<goodbad@example.org>").startswith(b"250 ")
        assert time.monotonic() - began < 0.3
        assert client.ask(b"DATA", MESSAGE + b".").startswith(b"554 5.7.1 MessageWall: DNSBL/REJECT: ")
        assert time.monotonic() - began < 1.5
    assert entry(source, "good.example") in front.daemon.logged(rf"\({source}\) MESSAGE/REJECT.*unanswered=")


def test_answer_after_rcpt_counts_at_the_end(front: DnsFront, dns: HostileDns) -> None:
    """The reply to RCPT does not wait longer; the message is judged with the late answer."""
    source = listed(dns, fresh(), "a.example", "slow.example")
    dns.fault_of[entry(source, "slow.example")] = late(0.15)
    with Client(front.site.port, source) as client:
        client.send(b"EHLO x.example\r\nMAIL FROM:<a@good.example>\r\nRCPT TO:<slow@example.org>\r\nDATA\r\n")
        assert [client.reply()[:3] for _ in range(4)] == [b"250", b"250", b"250", b"354"]
        assert client.ask(MESSAGE + b".").startswith(b"554 5.7.1 MessageWall: DNSBL/REJECT: ")
    assert " score=2/2 " in front.daemon.logged(rf"\({source}\) MESSAGE/REJECT")


def test_when_questions_are_asked(front: DnsFront, dns: HostileDns) -> None:
    """The default profile's at the connect; another's at RCPT; of the reverse-path with MAIL."""
    source = fresh()
    with Client(front.site.port, source) as client:
        until(lambda: dns.asked(entry(source, "bl.example")), "the question at the connect")
        client.ask(b"EHLO x.example", b"MAIL FROM:<a@when.example>")
        assert not dns.asked(entry(source, "a.example"))
        client.ask(b"RCPT TO:<slow@example.org>")
        until(lambda: dns.asked(entry(source, "a.example")), "the recipient's profile")
    with Client(front.site.port, "127.0.7.200") as client:  # a relay client: relay_profile
        client.ask(b"EHLO x.example", b"MAIL FROM:<a@relaywhen.example>")
        until(lambda: dns.asked("relaywhen.example.dd.example"), "the question with MAIL")
        assert client.ask(b"RCPT TO:<x@else.example>").startswith(b"550 5.7.1 MessageWall: RMX_REQUIRED/REJECT: ")
    assert not dns.asked(entry("127.0.7.200", "bl.example"))


def test_one_flight(front: DnsFront, dns: HostileDns) -> None:
    """MAIL, RCPT, DATA in one flight: refused, DATA has no recipient; the next transaction goes on in the session."""
    source = listed(dns, fresh(), "bl.example")
    mail = b"MAIL FROM:<a@good.example>\r\n"
    with Client(front.site.port, source) as client:
        client.ask(b"EHLO x.example")
        client.send(mail + b"RCPT TO:<def@example.org>\r\nRCPT TO:<x@example.org>\r\nDATA\r\n")
        assert [client.reply()[:9] for _ in range(4)] == b"250 2.1.0|550 5.7.1|550 5.7.1|554 5.5.1".split(b"|")
        client.send(b"RSET\r\n" + mail + b"RCPT TO:<none@example.org>\r\nDATA\r\n")
        assert [client.reply()[:3] for _ in range(4)] == [b"250", b"250", b"250", b"354"]
        assert client.ask(MESSAGE + b".").startswith(b"250 ")


def test_several_profiles(front: DnsFront, dns: HostileDns) -> None:
    """One whose profile refuses does not set the profile of the transaction; the first accepted one does."""
    source = listed(dns, fresh(), "bl.example")
    with Client(front.site.port, source) as client:
        client.ask(b"EHLO x.example", b"MAIL FROM:<a@good.example>")
        replies = [client.ask(b"RCPT TO:<%s@example.org>" % name)[:3] for name in b"def none ten def none+x".split()]
        assert replies == [b"550", b"250", b"452", b"452", b"250"]
        assert client.ask(b"DATA", MESSAGE + b".").startswith(b"250 ")
    assert " profile=None score=0/1 " in front.daemon.logged(rf"\({source}\) MESSAGE/ACCEPT")


def test_hundred_recipients(front: DnsFront, dns: HostileDns) -> None:
    """All accepted, the 101st is told 452; all refused, that is one error, and ten such transactions are too many."""
    recipients = b"".join(b"RCPT TO:<goodbad+%d@example.org>\r\n" % number for number in range(101))
    source = listed(dns, fresh(), "a.example")
    dns.fault_of[entry(source, "good.example")] = nothing
    with Client(front.site.port, source) as client:
        client.ask(b"EHLO x.example", b"MAIL FROM:<a@good.example>")
        began = time.monotonic()
        client.send(recipients)
        assert [client.reply()[:9] for _ in range(101)] == [b"250 2.1.5"] * 100 + [b"452 4.5.3"]
        assert time.monotonic() - began < 0.5  # they wait together
    source = listed(dns, fresh(), "a.example")
    with Client(front.site.port, source) as client:
        client.ask(b"EHLO x.example")
        for _ in range(9):
            assert client.ask(b"MAIL FROM:<a@good.example>").startswith(b"250 ")
            client.send(recipients)
            assert {client.reply()[:9] for _ in range(101)} == {b"550 5.7.1"}
            assert client.ask(b"RSET").startswith(b"250 ")
        client.send(b"MAIL FROM:<a@good.example>\r\n" + recipients + recipients + b"RSET\r\n" + recipients)
        replies = list(iter(client.reply, b""))
        assert replies[-1].startswith(b"421 4.7.0 "), replies[-3:]


def test_what_is_asked_about_changes_in_a_session(front: DnsFront, dns: HostileDns) -> None:
    """RSET, another MAIL and another EHLO: the old reverse-path and the old name count no more."""
    dns.add("bad.example.dd.example", a("127.0.1.2"))
    with Client(front.site.port, fresh()) as client:
        good, bad = b"MAIL FROM:<a@fine.example>", b"MAIL FROM:<a@bad.example>"
        client.ask(b"EHLO x.example")
        rcpt = b"RCPT TO:<sender@example.org>"
        assert client.ask(bad, rcpt).startswith(b"550 5.7.1 MessageWall: DNSBL_DOMAIN/REJECT: bad.example is listed")
        assert client.ask(b"RSET", good, rcpt).startswith(b"250 ")
        assert client.ask(b"RSET", bad, rcpt).startswith(b"550 ")
        assert client.ask(b"RSET", b"MAIL FROM:<>", rcpt).startswith(b"250 ")
        assert client.ask(b"DATA", MESSAGE + b".").startswith(b"250 ")
        assert client.ask(bad, rcpt).startswith(b"550 ")
        rcpt = b"RCPT TO:<helo@example.org>"
        assert client.ask(b"EHLO mail.good.example", good, rcpt).startswith(b"250 ")
        assert client.ask(b"EHLO mail.bad.example", good, rcpt).startswith(b"550 5.7.1 MessageWall: HELO_REQUIRED/")


def test_hang_ups_and_slow_talk(front: DnsFront, dns: HostileDns) -> None:
    """A client goes at each moment, with answers pending; nothing is in the log but lines, and the next is served."""
    commands = b"EHLO x.example|MAIL FROM:<a@hang.example>|RCPT TO:<dead@example.org>|DATA|Subject: x\r\n\r\nx|.|QUIT"
    dns.fault_of["hang.example.dead.example"] = late(0.1, nothing)
    parts = [part + b"\r\n" for part in commands.split(b"|")]
    gone = []
    for count in range(len(parts) + 1):
        for reads in (False, True):
            gone.append(fresh())
            dns.fault_of[entry(gone[-1], "bl.example")] = nothing
            with Client(front.site.port, gone[-1], greeted=reads) as client:
                for part in parts[:count]:
                    client.send(part)
                    if reads and part[:2] not in (b"Su", b".\r"):
                        client.reply()
    for source in gone[-3::2]:  # those that sent the end of data, in turn
        front.daemon.logged(rf"\({source}\) MESSAGE/")
    until(lambda: any(" 0 clients" in " ".join(one.cmdline()) for one in front.daemon.workers()), "all clients to go")
    source = listed(dns, fresh(), "bl.example")
    with Client(front.site.port, source) as client:
        for octet in b"EHLO x.example\r\nMAIL FROM:<a@good.example>\r\nRCPT TO:<def@example.org>\r\n":
            client.send(bytes([octet]))
        assert [client.reply()[:3] for _ in range(3)] == [b"250", b"250", b"550"]
    assert counters(front)[0]["errors"] == 0
    assert not re.findall(r"^.*(?:/ERROR|/FATAL|Traceback|bug).*$", front.daemon.log(), re.MULTILINE)


def test_misbehaving_lists_do_not_count_and_are_told(front: DnsFront, dns: HostileDns) -> None:
    """Whatever is wrong with them: nothing scores; a good one that has everybody lets nobody off."""
    zones = [f"{zone}.example" for zone in ("everybody", "without", "error", "away", "elsewhere", "a")]
    source = listed(dns, fresh(), *zones)
    dns.add("good.example.badnames.example", a("127.0.0.2"))
    bad, names, good = front.send_all(to(name, source=source) for name in ("Bad", "BadNames", "BadGood"))
    assert bad.unscored and names.unscored, (bad, names)
    assert good.reply[:1] == b"5" and checks(good) == "1/1 DNSBL:1"
    for zone in ("everybody", "without", "error", "elsewhere", "badnames"):
        front.daemon.logged(rf"\{{1\}} PROCESS/WARNING: {zone}\.example .*; ignored until it behaves$")
    front.daemon.logged(r"WARNING: error\.example answers 127\.255\.255\.254, an error")
    assert "nobodyhasit" not in re.sub(r".*COUNTERS.*", "", front.daemon.log())


def test_counters(front: DnsFront, dns: HostileDns) -> None:
    """Queries, hits of the cache, timeouts, wrong answers; of each list the messages and clients, not recipients."""
    before, _ = counters(front)
    source = listed(dns, fresh(), "count.example")
    dns.fault_of[entry(source, "count.example")] = then_right(other_id)
    assert front.send(to("Count", source=source)).reply.startswith(b"550 ")
    first, zones_first = counters(front)
    assert first["dns_wrong_answers"] == before["dns_wrong_answers"] + 1
    assert first["recipients_rejected"] == before["recipients_rejected"] + 1
    assert zones_first["count.example"] == {"asked": 1, "listed": 1, "late": 0}
    with Client(front.site.port, source) as client:
        client.ask(b"EHLO x.example", b"MAIL FROM:<a@good.example>")
        for number in range(5):
            assert client.ask(b"RCPT TO:<count+%d@example.org>" % number).startswith(b"550 ")
    second, zones_second = counters(front)
    assert zones_second["count.example"] == {"asked": 2, "listed": 2, "late": 0}
    assert second["dns_cache_hits"] > first["dns_cache_hits"] and second["dns_queries"] == first["dns_queries"]
    source = fresh()
    dns.fault_of[entry(source, "dead.example")] = nothing
    result = front.send(to("CountTwo", source=source, message=MESSAGE + b"http://www.count.example/\r\n"))
    assert result.reply.startswith(b"250 ") and entry(source, "dead.example") in result.unanswered
    third, zones_third = counters(front)
    assert third["dns_timeouts"] == second["dns_timeouts"] + 3
    assert zones_third["count2.example"] == zones_third["zz.example"] == {"asked": 1, "listed": 0, "late": 0}
    assert zones_third["dead.example"]["late"] == zones_second["dead.example"]["late"] + 1


def test_counters_of_each_list_that_a_profile_names(front: DnsFront) -> None:
    """`A line follows for each list of the DNS that a profile names which somebody has`."""
    _, zones = counters(front)
    assert "nobodyhasit.example" not in zones
    assert "count.example" in zones
