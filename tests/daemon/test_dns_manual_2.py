"""More of what the manual pages promise of the DNS: names, links, files, messagewalltest, reloads, faults."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import re
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator

import pytest

from tests.daemon.dns_faults import nothing, refusing
from tests.daemon.dns_front import DnsFront, Result, entry, write_profiles
from tests.daemon.harness import MESSAGE, PROJECT, Client, Daemon, Site, until
from tests.daemon.hostile_dns import HostileDns, Labels, Send, a, cname, mx, ptr, txt
from tests.daemon.scripted_backend import ScriptedBackend
from tests.daemon.test_dns_manual import serving, to

LONG = ".".join(["z" * 59, "z" * 59, "z" * 60])  # 180 characters
PROFILES = {
    "Rmx": 'rmx_required="1"\n',
    "Helo": 'helo_required="1"\n',
    "Names": 'reject_score="3"\nrdns_required="0.5"\nrdns_confirmed="0.75"\n',
    "Links": 'uribl="1,u.example"\n',
    "Files": 'dnsdcc="1,files.example"\n',
    "Six": 'reject_score="9"\ndnsbl="1,six.example"\ndnsbl="1,' + LONG + '"\n',
    "Idn": 'reject_score="9"\ndnsbl_domain="1,dd.example"\n',
    "Long": f'dnsbl_domain="1,{LONG}"\nuribl="1,{LONG}"\ndnsdcc="1,{LONG}"\n',
    "RelayDns": 'reject_score="9"\ndnsbl="1,six.example"\nrdns_required="1"\nrdns_confirmed="1"\nhelo_required="1"\n'
    'rmx_required="1"\ndnsbl_domain="1,dd.example"\nuribl="1,u.example"\ndnsdcc="1,files.example"\n',
    "Command": 'reject_score="2"\ndnsbl="2,six.example"\nuribl="0.5,u.example"\nrdns_confirmed="0.5"\n'
    'helo_required="0.25"\nrmx_required="0.125"\ndnsbl_domain="0.001,dead.example"\n',
}


@pytest.fixture(scope="module")
def dns(free_port: Callable[[], int]) -> Iterator[HostileDns]:
    """One name server for all."""
    with HostileDns(free_port(), ["six.example", LONG]) as server:
        server.add("good.example", mx(10, "mail.good.example"))
        server.add("mail.good.example", a("127.0.0.9"))
        server.fault_of["fail.example"] = refusing(2)
        yield server


@pytest.fixture(scope="module")
def front(new_site: Callable[[], Site], dns: HostileDns) -> Iterator[DnsFront]:
    """One daemon for all."""
    with serving(new_site(), dns, PROFILES) as running:
        yield running


def score(result: Result) -> str:
    """The score, as in the log."""
    match = re.search(r" score=([-0-9.]+)/", result.line)
    return match[1] if match else result.line


def test_rmx_required(front: DnsFront, dns: HostileDns) -> None:
    """What takes mail, what does not, and what nobody knows."""
    four, six = a("192.0.2.1"), a("2001:db8::1")
    for name, records in {
        "a": (four,),
        "aaaa": (six,),
        "part": (six,),
        "mx": (mx(10, "no.such.name.example"),),
        "text": (txt(b"hello"),),
        "null": (mx(0, ()), four),
        "alias": (cname("a.rmx.example"),),
        "away": (cname("no.rmx.example"),),
    }.items():
        dns.add(f"{name}.rmx.example", *records)
    dns.fault_of["fail.rmx.example"], dns.fault_of["refused.rmx.example"] = refusing(2), refusing(5)
    dns.fault_of["silent.rmx.example"] = nothing
    dns.fault_of["part.rmx.example"] = lambda query, right: nothing(query, right) if query.type == 1 else (Send(right),)
    passes = ["a", "aaaa", "mx", "alias", "fail", "silent", "refused", "part"]
    hit = ["text", "null", "away", "no"]
    results = front.send_all(to("Rmx", domain=f"{name}.rmx.example".encode()) for name in passes + hit)
    for name, result in zip(passes + hit, results, strict=True):
        assert result.reply.startswith(b"550" if name in hit else b"250"), (name, result)
        assert bool(result.unanswered) == (name in ("fail", "silent", "refused", "part")), (name, result)
    for path in (b"<>", b"<a@[127.0.0.9]>", b"<a@[IPv6:2001:db8::1]>"):
        with Client(front.site.port) as client:
            assert client.ask(b"EHLO x", b"MAIL FROM:" + path, b"RCPT TO:<rmx@example.org>").startswith(b"250"), path


def test_helo_required(front: DnsFront, dns: HostileDns) -> None:
    """Names with an address pass, literals too; a bare number and what can be no name are hit."""
    dns.add("six.helo.example", a("2001:db8::1"))
    dns.add("text.helo.example", txt(b"x"))
    dns.add("alias.helo.example", cname("six.helo.example"))
    for name in ("single", "127.0.0.9"):
        dns.add(name, a("192.0.2.1"))
    dns.fault_of["fail.helo.example"] = refusing(2)
    passes = ["mail.good.example", "MAIL.good.EXAMPLE", "six.helo.example", "single", "alias.helo.example", "[1.2.3.4]"]
    passes += ["[IPv6:2001:db8::1]", "fail.helo.example"]
    hit = ["127.0.0.9", "text.helo.example", "no.helo.example", "localhost", "a" * 64 + ".example"]
    assert all(result.unscored for result in front.send_all(to("Helo", helo=name.encode()) for name in passes))
    for result in front.send_all(to("Helo", helo=name.encode()) for name in hit):
        assert result.reply.startswith(b"550 5.7.1 MessageWall: HELO_REQUIRED/REJECT: "), result
    with Client(front.site.port) as client:
        assert client.ask(b"HELO no.example", b"MAIL FROM:<>", b"RCPT TO:<helo@example.org>").startswith(b"550 5.7.1 ")


def test_reverse_names(front: DnsFront, dns: HostileDns) -> None:
    """None, one that leads elsewhere, the tenth, the eleventh, failures, and names of odd octets."""
    odd: Labels = (b"evil\r\nX-Evil: yes", b"example")

    names = [f"n{number}.example" for number in range(1, 12)]
    table: dict[str, tuple[str, list[str | Labels], str]] = {
        "127.2.0.1": ("1.25", [], ""),
        "127.2.0.2": ("0.75", ["elsewhere.example"], ""),
        "127.2.0.3": ("0", ["right.example"], "right.example"),
        "127.2.0.4": ("0", [*names[:10]], "n10.example"),
        "127.2.0.5": ("0.75", [*names], "n11.example"),
        "127.2.0.6": ("0", ["fail.example"], ""),
        "127.2.0.7": ("0", ["elsewhere.example", "fail.example"], ""),
        "127.2.0.8": ("0.75", [odd], "evil\r\nx-evil: yes.example"),
        "127.2.0.9": ("0", [], "classless.example"),
        "127.2.0.10": ("0", [], ""),
    }
    for source, (_, pointers, right) in table.items():
        dns.add(entry(source, "in-addr.arpa"), *map(ptr, pointers))
        dns.add(right, *([a("192.0.2.99"), a(source)] if right else []))
    dns.add(entry("127.2.0.9", "in-addr.arpa"), cname("9.128-25.0.2.127.in-addr.arpa"))  # RFC 2317
    dns.add("9.128-25.0.2.127.in-addr.arpa", ptr("classless.example"))
    dns.fault_of[entry("127.2.0.10", "in-addr.arpa")] = nothing
    results = dict(zip(table, front.send_all(to("Names", source=source) for source in table), strict=True))
    assert {source: score(result) for source, result in results.items()} == {key: row[0] for key, row in table.items()}
    assert " name=right.example " in results["127.2.0.3"].line and " name=" not in results["127.2.0.2"].line
    assert all(results[f"127.2.0.{number}"].unanswered for number in (6, 7, 10))
    mails = b"\n".join(delivery.mail_data for delivery in front.backend.deliveries)
    assert re.search(rb"\nReceived: [^\n]*right\.example", mails)
    assert b"\nX-Evil" not in mails and "\nX-Evil" not in front.daemon.log()


def test_ipv6_client(front: DnsFront, dns: HostileDns) -> None:
    """Asked by its 32 digits, also with the longest zone; its name is looked up below ip6.arpa."""
    digits = "1." + "0." * 31
    for zone in ("six.example", LONG):
        dns.add(digits + zone, a("127.0.0.3"))
    dns.add(digits + "ip6.arpa", ptr("six.names.example"))
    dns.add("six.names.example", a("::1"))
    assert score(front.send(to("Six", source="::1"))) == "2"
    assert " name=six.names.example " in front.send(to("Names", source="::1")).line


def test_relay_clients(front: DnsFront, dns: HostileDns) -> None:
    """They are spared what looks at them, not what looks at the mail."""
    source, file = "127.0.7.9", f"{digest(b'MZ relay')}.files.example"
    for name in (entry(source, "six.example"), "relay.example.dd.example", "relaylink.example.u.example", file):
        dns.add(name, a("127.0.0.2"))
    message = attached([b"MZ relay"], b"http://www.relaylink.example/")
    result = front.send(to("Rmx", source=source, domain=b"relay.example", helo=b"10.0.0.1", message=message))
    assert " profile=RelayDns score=4/9 " in result.line
    assert all(f"{check}:1" in result.line for check in ("DNSBL_DOMAIN", "URIBL", "DNSDCC", "RMX_REQUIRED"))
    assert not dns.asked(entry(source, "six.example")) and not dns.asked(entry(source, "in-addr.arpa"))


def test_idn_and_longest_names(front: DnsFront, dns: HostileDns) -> None:
    """A domain beyond ASCII is asked about in its xn-- form; one too long for the zone hits nothing."""
    dns.add("xn--bcher-kva.example.dd.example", a("127.0.0.2"))
    long = ".".join(["d" * 63] * 3 + ["e" * 40])
    for number, domain in enumerate(("BÜCHER.example", "☃" * 30 + ".example", "xn--a.example"), 1):
        with Client(front.site.port, f"127.3.0.{number}") as client:
            client.ask(b"EHLO x.example", f"MAIL FROM:<i@{domain}> SMTPUTF8".encode(), b"RCPT TO:<idn@example.org>")
            assert client.ask(b"DATA", MESSAGE + b".").startswith(b"250 ")
        assert f" score={int(number == 1)}/9 " in front.daemon.logged(rf"\(127\.3\.0\.{number}\) MESSAGE/ACCEPT.*")
    result = front.send(to("Long", domain=long.encode(), message=MESSAGE + b"http://%s/\r\n" % long.encode()))
    assert result.reply[:3] in (b"250", b"501"), result


def digest(octets: bytes) -> str:
    """As openssl and base32 in the manual make it."""
    return base64.b32encode(hashlib.sha256(octets).digest()).decode().strip("=").lower()


def attached(contents: list[bytes], text: bytes = b"x") -> bytes:
    """A message with files."""
    kind = b"--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    parts = b"".join(kind + base64.encodebytes(file).replace(b"\n", b"\r\n") + b"\r\n" for file in contents)
    head = b"From: <a@b.example>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    return head + b"--b\r\n\r\n" + text + b"\r\n" + parts + b"--b--\r\n"


LINKS = (
    ("http://www.shop.example.co.uk/x see https://evil.blogspot.com.", "example.co.uk evil.blogspot.com"),
    ("FTP://Files.Big.COM:21/x (www.bare-link.com)", "big.com bare-link.com"),
    ("http://user:pass@www.behind.com:8080/ http://dotted.com./", "behind.com dotted.com"),
    ("http://8.8.4.4/x http://10.1.2.3/ http://192.168.0.1 http://172.16.0.1/ http://127.0.0.1/", "4.4.8.8"),
    ("http://134744072/ http://[2606:4700::1111]/", "8.8.8.8 1.1.1.1." + "0." * 20 + "0.0.7.4.6.0.6.2"),
    ("http://count1.com/?to=http://target1.com/x", "count1.com target1.com"),
    ("http://count2.com/?to=http%3A%2F%2Ftarget2.com%2Fx", "count2.com target2.com"),
    ("http://www.example.org/ http://example.org http://other.net http://bücher.com", "other.net xn--bcher-kva.com"),
    ("//noscheme.com mailto:a@mailto.com javascript://nolink.com plain.com", ""),
    ("<html><a href='//h1.com/x'><a href='&#104;ttp://h2.com'><!-- http://hidden.com -->", "h1.com h2.com hidden.com"),
    (" ".join(f"http://many{number}.com/" for number in range(25)), " ".join(f"many{n}.com" for n in range(20))),
)


def test_what_uribl_asks(front: DnsFront, dns: HostileDns) -> None:
    """A question for each registered domain and number in a link, and no other."""
    for text, asked in LINKS:
        kind = b"text/html" if text.startswith("<html>") else b"text/plain"
        head = b"Content-Type: %s; charset=utf-8\r\nSubject: http://subject.com/\r\nFrom: <a@head.com>\r\n\r\n" % kind
        before = len(dns.queries)
        result = front.send(to("Links", message=head + text.encode() + b"\r\n"))
        assert result.unscored, result
        names = {query.name.lower() for query in dns.queries[before:] if query.name.lower().endswith(".u.example")}
        assert names - {"invalid.u.example"} == {f"{name}.u.example" for name in asked.split()}


def test_what_dnsdcc_asks(front: DnsFront, dns: HostileDns) -> None:
    """Files decoded, members of archives, each once and no empty one; 32 of a message."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.exe", b"MZ inner")
        archive.writestr("empty", b"")
    assert front.send(to("Files", message=attached([packed.getvalue(), b"", b"MZ outer", b"MZ outer"]))).unscored
    asked = [query.name.lower() for query in dns.queries if query.name.lower().endswith(".files.example")]
    for content in (packed.getvalue(), b"MZ outer", b"MZ inner"):
        assert asked.count(f"{digest(content)}.files.example") == 1
    assert f"{digest(b'')}.files.example" not in asked
    before = len(dns.queries)
    assert front.send(to("Files", message=attached([b"MZ %d" % number for number in range(40)]))).unscored
    names = {query.name.lower() for query in dns.queries[before:] if query.name.lower().endswith(".files.example")}
    assert 31 <= len(names) <= 32  # the text was asked about before
    dns.add(f"{digest(b'MZ virus')}.files.example", a("127.0.0.2"))
    assert front.send(to("Files", message=attached([b"MZ virus"]))).reply.startswith(b"554 5.7.1 MessageWall: DNSDCC/")


def ask(front: DnsFront, message: bytes, *options: str) -> tuple[int, str]:
    """What messagewalltest prints with the daemon's configuration, and its status."""
    command = [sys.executable, "-m", "mwall.program.messagewalltest", "-c", str(front.site.file), *options]
    done = subprocess.run(command, input=message, stdout=subprocess.PIPE, cwd=PROJECT, timeout=30, check=False)
    return done.returncode, done.stdout.decode()


def test_messagewalltest_shows_the_dns(front: DnsFront, dns: HostileDns) -> None:
    """What was asked, what it said, what hit, and the verdict; all as JSON too."""
    dns.add(entry("192.0.2.9", "six.example"), a("127.0.0.7"))
    dns.add("walltest.com.u.example", a("127.0.0.2"))
    dns.fault_of["nowhere.example.dead.example"] = refusing(2)
    message = MESSAGE + b"http://walltest.com/\r\n"
    options = ("-p", "Command", "-i", "192.0.2.9", "-n", "10.0.0.1", "-s", "a@nowhere.example")
    assert (answer := ask(front, message, *options))[0] == 1
    for expected in (
        r"^DNS +ms +question and answer$",
        r"9\.2\.0\.192\.six\.example A: 127\.0\.0\.7$",
        r"2\.0\.0\.127\.six\.example A: 127\.0\.0\.2$",
        r"1\.0\.0\.127\.six\.example A: no such name$",
        r"invalid\.u\.example A: no such name$",
        r"nowhere\.example\.dead\.example A: .*SERVFAIL",
        r"2  DNSBL: 192\.0\.2\.9 is listed by six\.example \(127\.0\.0\.7\)$",
        r"- +dnsbl_domain .*dead\.example",
        r"^score +3\.375, refused from 2$",
        r"^verdict +refused: 554 5\.7\.1 MessageWall: DNSBL/REJECT: ",
    ):
        assert re.search(f"(?m){expected}", answer[1]), (expected, answer)
    shown = json.loads(ask(front, message, *options, "--json")[1])
    assert shown["profile"] == "Command" and shown["score"] == 3.375 and shown["acts"] == []
    for content in ("9.2.0.192.six.example", "192.0.2.9 is listed by six.example (127.0.0.7)", "554 5.7.1 "):
        assert content in json.dumps(shown)


def test_messagewalltest_asks_only_what_it_says(front: DnsFront, dns: HostileDns) -> None:
    """Nobody with --no-dns; without -i and -n nothing of the client; a bounce has no domain to ask about."""
    before = len(dns.queries)
    whole = ("-p", "Command", "-i", "192.0.2.9", "-n", "10.0.0.1", "-s", "a@nowhere.example")
    code, told = ask(front, MESSAGE, *whole, "--no-dns")
    assert code == 0 and len(dns.queries) == before and not re.search(r"(?m)^DNS", told)
    code, told = ask(front, MESSAGE, "-p", "Command", "-s", "a@good.example")
    names = {query.name.lower() for query in dns.queries[before:]}
    assert code == 0 and not re.search(r"(?m)^ +\S+ +\S+ +(?:helo|dnsbl |rdns)", told), told
    assert "good.example" in names and not [name for name in names if "192" in name or "client.example" in name], names
    before = len(dns.queries)
    assert ask(front, MESSAGE, "-p", "Command", "-s", "<>")[0] == 0
    assert "good.example" not in {query.name.lower() for query in dns.queries[before:]}
    assert "RMX_REQUIRED/" in ask(front, MESSAGE, "-r", "rmx+x@example.org", "-s", "a@nothere.example")[1]
    code, told = ask(front, MESSAGE, "-i", "127.0.7.1", "-r", "rmx@example.org", "-s", "a@good.example")
    assert code == 0 and re.search(r"(?m)^profile +RelayDns$", told)
    assert ask(front, MESSAGE, "-i", "nonsense")[0] == 2 and ask(front, MESSAGE, "/nowhere")[0] == 66


def test_reload_and_name_servers(new_site: Callable[[], Site], free_port: Callable[[], int], dns: HostileDns) -> None:
    """One that is silent is not asked first again; HUP changes servers and lists; a fault changes nothing."""
    site = new_site()
    write_profiles(site, {"Old": 'reject_score="5"\ndnsbl="1,six.example"\n', "Relay": 'reject="0"\n'})
    daemon, source = Daemon(site), "127.4.0.1"
    dns.add(entry(source, "six.example"), a("127.0.0.2"))
    other = HostileDns(free_port(), ["six.example", "new.example"])
    with ScriptedBackend(site.backend_port) as backend, other, socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.setblocking(False)
        servers = f"127.0.0.1:{silent.getsockname()[1]}, 127.0.0.1:{dns.port} 127.0.0.1:{other.port}"
        site.write(nameservers=servers, dns_timeout="0.3", check_timeout="0.5", processes=1, max_backends=5)
        dns.fault_of[entry("127.4.0.3", "six.example")] = refusing(2)
        other.add(entry("127.4.0.3", "six.example"), a("127.0.0.2"))
        other.add(entry(source, "new.example"), a("127.0.0.2"))
        other.add("x.com.u.example", a("127.0.0.2"))
        front = DnsFront(site, backend, daemon)
        daemon.start()
        try:
            assert score(front.send(to("Old", source=source))) == "1"
            with contextlib.suppress(BlockingIOError):
                while silent.recv(4096):
                    pass
            result = front.send(to("Old", source="127.4.0.2"))
            assert score(result) == "0" and result.seconds < 0.3
            with pytest.raises(BlockingIOError):
                silent.recv(4096)
            assert score(front.send(to("Old", source="127.4.0.3"))) == "1"  # the second one fails: the third is asked
            dns.fault_of[entry("127.4.0.4", "six.example")] = other.fault_of[entry("127.4.0.4", "six.example")] = (
                nothing
            )
            result = front.send(to("Old", source="127.4.0.4"))  # three tries would last 0.9 s
            assert result.unscored and result.unanswered and result.seconds < 0.8, result
            site.write(nameservers="127.0.0.1:0")
            daemon.signal(signal.SIGHUP)
            for line in (r"messagewall\.conf:\d+: nameservers: ", "the configuration in force stays"):
                daemon.logged(line)
            assert score(front.send(to("Old", source=source))) == "1"
            with Client(site.port, source) as old:  # it ends under the old configuration
                old.ask(b"EHLO x.example")
                site.write(nameservers=f"127.0.0.1:{other.port}", check_timeout="0")
                write_profiles(site, {"Old": 'reject_score="5"\ndnsbl="2,new.example"\nuribl="1,u.example"\n'})
                daemon.signal(signal.SIGHUP)
                until(lambda: score(front.send(to("Old", source=source))) == "2", "the new list, and no wait for it")
                linked = to("Old", source=source, message=MESSAGE + b"http://x.com/\r\n")
                result = front.send(linked)  # it waits for nobody
                assert score(result) == "2" and "x.com.u.example" in result.unanswered, result
                until(lambda: score(front.send(linked)) == "3", "the link in the cache")
                old.ask(b"MAIL FROM:<a@x.example>", b"RCPT TO:<old@example.org>", b"DATA")
                assert old.ask(MESSAGE + b".").startswith(b"250 ")
                daemon.logged(r"MESSAGE/ACCEPT.*to=<old@example\.org>.* score=1/5 ")
            daemon.signal(signal.SIGUSR1)
            (asked,) = re.findall(r"asked=(\d+)", daemon.logged(r"zone=new\.example asked=\d+ listed="))
            accepted = daemon.log().count("MESSAGE/ACCEPT")  # by old and new workers
            assert int(asked) >= 2 and f" messages_accepted={accepted} " in daemon.logged("dns_queries=")
        finally:
            daemon.end()


def test_faults_have_file_line_and_variable(new_site: Callable[[], Site]) -> None:
    """Each on a line of its own: those of messagewall.conf first, then those of the profiles."""
    site = new_site()

    def tested() -> str:
        done = Daemon(site).run("-t")
        assert done.returncode == bool(done.stdout + done.stderr)
        return done.stdout + done.stderr

    faults = {"nameservers": "ns.example", "dns_timeout": "0.09", "check_timeout": "301", "nameserver": "192.0.2.1"}
    site.write(**faults)
    told, first = tested(), site.file.read_text().count("\n") - len(faults) + 1
    for line, name in enumerate(faults, first):
        assert re.search(rf"(?m)^\S*messagewall\.conf:{line}: {name}: ", told), (name, told)
    assert re.search(r"nameserver: .*nameservers", told)
    site.write(**dict.fromkeys(faults))
    texts = (
        *("1,x.example=128.0.0.1", "1,x.example=127.0.0", "1,x.example=127.0.0.[5..2]", "1,x.example=127.0.0.256"),
        *("1,", "1,a..b", "1,192.0.2.1", "0.1234,x.example", "1,x.example=", "x,x.example", f"1,{LONG}a"),
        *("1,x.example=127.255.255.[1..9]", "1,x.example=127.0.0.[]", "1," + "l" * 64 + ".example", "1,büro.example"),
    )
    lines = [f'{name}="{text}"' for name in ("dnsbl", "dnsbl_domain", "uribl", "dnsdcc") for text in texts]
    lines += ['rmx_required="on"', 'helo_required="1,x"', 'rdns_required="0.0001"', 'rdns_confirmed=""']
    site.put("profiles/Bad", "\n".join(lines))
    site.put("profiles/Many", "".join(f'dnsbl="l{number}.example"\n' for number in range(65)))
    told = tested()
    for number, text in enumerate(lines, 1):
        assert re.search(rf"(?m)^\S*profiles/Bad:{number}: {text.partition('=')[0]}: ", told), (text, told)
    site.put("profiles/Bad", f'dnsbl="{LONG}=127.0.0.[0..255]"\ndnsbl="-0.001,A_b.Example"\nrmx_required="-1"\n')
    limit = re.compile(r"(?m)^\S*profiles\S*: .*\b(?:6[5-9]|7\d)\b.*\b64\b")
    assert tested() == "", "nobody has it"
    site.put("special_users", 'x@example.org="Many"\n')
    site.write(special_users="special_users")
    assert limit.search(tested())
    site.put("special_users", 'x@example.org="Many"\nx@example.net="Bad"\ny@example.org="Most"\n')
    site.put("profiles/Many", "".join(f'dnsbl="1,{LONG}=127.0.0.{number}"\n' for number in range(100)))
    site.put("profiles/Most", "".join(f'dnsbl="l{number}.example"\n' for number in range(62)))
    eight = " ".join(f"192.0.2.{number}" for number in range(6)) + ",[2001:db8::1]:5353,::1"
    site.write(nameservers=eight, dns_timeout="1m", check_timeout="59.999s")
    assert tested() == ""
    assert re.search(r'(?m)^nameservers="?192\.0\.2\.0.*\[2001:db8::1\]:5353.*::1', Daemon(site).run("-T").stdout)
