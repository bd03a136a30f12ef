"""messagewalltest(1): what becomes of one saved message, check by check, and what each check costs.

The daemon's own code judges it; nothing here decides anything.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from typing import NoReturn

from mwall.config.grammar import ConfigurationError
from mwall.config.values import parse_address
from mwall.dns.answers import TYPE_NAMES, Answer, Exchange, Status
from mwall.master.files import Configuration, read_configuration
from mwall.master.start import make_place
from mwall.message.addresses import addresses_in
from mwall.message.body import take_header
from mwall.message.fields_added import format_score
from mwall.message.header import HeaderError, values_by_name
from mwall.message.structure import Part, walk
from mwall.policy.checks import Envelope
from mwall.policy.profile import Profile
from mwall.policy.routing import profile_for
from mwall.program.messagewall import CONFIGURATION, USAGE, Parser
from mwall.program.weighing import Measured, Report, weigh
from mwall.smtp.addresses import AddressError, Mailbox, parse_path
from mwall.smtp.printable import printable

_NOBODY = "192.0.2.1"  # RFC 5737
_SOMEBODY = Mailbox("somebody", "example.org")

# What is asked of the DNS about the client's address, and about its name in EHLO.
_OF_CLIENT = {"dnsbl", "rdns_required", "rdns_confirmed"}
_OF_HELO = {"helo_required"}

# The report


def part_lines(root: Part) -> list[dict[str, object]]:
    """Each part with its number (RFC 3501 6.4.5 style), what it is and what is wrong with it."""
    numbers: dict[Part, str] = {root: ""}
    lines: list[dict[str, object]] = []
    for part in walk(root):
        below = [child for child in part.children if child.role == "part"]
        prefix = f"{numbers.get(part, '')}." if numbers.get(part) else ""
        numbers |= {child: f"{prefix}{number}" for number, child in enumerate(below, 1)}
        lines.append({
            "part": numbers.get(part) or ("message" if part is root else part.role),
            "type": [field.name for field in part.types],
            "names": list(part.names),
            "encoding": list(part.encodings),
            "octets": part.end - part.start,
            "faults": list(part.faults),
        })
    return lines


def as_dictionary(report: Report) -> dict[str, object]:
    """The report for --json."""
    envelope, verdict = report.envelope, report.verdict
    result: dict[str, object] = {
        "profile": report.profile.name,
        "client": str(envelope.client_address),
        "helo": envelope.helo_name,
        "from": f"<{envelope.reverse_path or ''}>",
        "to": _recipients(report),
        "octets": report.octets,
        "parts": part_lines(verdict.root) if verdict and verdict.root else [],
        "checks": [
            {
                "variables": list(one.variables),
                "zone": one.zone,
                "milliseconds": round(one.seconds * 1000, 3),
                "findings": [
                    {"check": found.check, "reason": found.reason, "score": found.score / 1000}
                    for found in one.findings
                ],
            }
            for one in report.measured
        ],
        "questions": [
            {
                "name": one.question.name,
                "type": TYPE_NAMES[one.question.type],
                "answer": _answer_text(one.answer),
                "known": one.is_known,
                "milliseconds": round(one.seconds * 1000, 3),
            }
            for one in report.asked
        ],
        "unanswered": {str(question): why for question, why in report.unanswered.items()},
    }
    if verdict is not None:
        acted = [found for found in verdict.findings if found.check.startswith("MIME_") and not found.score]
        result |= {
            "acts": [{"check": found.check, "reason": found.reason} for found in acted],
            "score": verdict.score / 1000,
            "limit": verdict.limit / 1000,
            "observed": verdict.observed,
        }
    result["action"] = "reject" if report.refused else "accept"
    result["reply"] = _reply(report)
    result["milliseconds"] = round(report.seconds * 1000, 3)
    return result


def _reply(report: Report) -> str:
    return report.refused.decode("ascii").rstrip() if report.refused else "the mail server's own"


def as_text(report: Report) -> str:
    """The report for a terminal: printable ASCII, whatever is in the message."""
    envelope = report.envelope
    recipients = " ".join(_recipients(report))
    lines = [
        f"profile  {report.profile.name}",
        f"envelope from <{envelope.reverse_path or ''}> to {recipients}, client {envelope.client_address}",
        "",
    ]
    lines += _parts_text(report)
    if report.measured:
        lines += ["", "checks      ms    score  what"]
        for one in report.measured:
            lines += _check_text(one)
    lines += _questions_text(report)
    lines += ["", *_verdict_text(report)]
    return "\n".join(printable(line, 400) for line in lines) + "\n"


def _recipients(report: Report) -> list[str]:
    return [f"<{recipient}>" for recipient in report.envelope.recipients]


def _parts_text(report: Report) -> list[str]:
    if report.verdict is None or report.verdict.root is None:
        return [f"parts    not looked into: {report.octets} octets"]
    lines = ["parts       octets  type"]
    for part in part_lines(report.verdict.root):
        types, names, encodings = (" | ".join(map(str, _list(part[key]))) for key in ("type", "names", "encoding"))
        what = f"{types} {encodings}" + (f' "{names}"' if names else "")
        lines.append(f"  {part['part']!s:<8} {part['octets']:>7}  {what}")
        lines += [f"{'':20}! {fault}" for fault in _list(part["faults"])]
    return lines


def _list(value: object) -> list[object]:
    assert isinstance(value, list)
    return value


def _check_text(one: Measured) -> list[str]:
    milliseconds = f"{one.seconds * 1000:>10.3f}"
    if not one.findings:
        return [f"{milliseconds}        -  {', '.join(one.variables)} {one.zone}".rstrip()]
    first, *others = [f"{format_score(found.score):>7}  {found.check}: {found.reason}" for found in one.findings]
    return [f"{milliseconds}  {first}", *(f"{'':10}  {other}" for other in others)]


def _questions_text(report: Report) -> list[str]:
    lines = ["", "DNS         ms  question and answer"] if report.asked or report.unanswered else []
    for one in report.asked:
        took = "known" if one.is_known else f"{one.seconds * 1000:.3f}"
        lines.append(f"{took:>10}  {one.question}: {_answer_text(one.answer)}")
    answered = {one.question for one in report.asked}
    lines += [f"{'':10}  {asked}: {why}" for asked, why in report.unanswered.items() if asked not in answered]
    return lines


def _answer_text(answer: Answer) -> str:
    if answer.status is not Status.FOUND:
        return answer.why or answer.status.value
    return ", ".join([
        f"{record.preference} {record.name or '.'}" if isinstance(record, Exchange) else str(record)
        for record in answer.records
    ])


def _verdict_text(report: Report) -> list[str]:
    verdict = report.verdict
    if verdict is None:
        return [f"verdict  refused: {_reply(report)}"]
    acts = [found for found in verdict.findings if found.check.startswith("MIME_") and not found.score]
    lines = [f"acts     {found.check}: {found.reason}" for found in acts]
    lines.append(f"score    {format_score(verdict.score)}, refused from {format_score(verdict.limit)}")
    if verdict.observed:
        lines.append(f"verdict  passes, for mode is observe; would be refused: {verdict.text}")
    else:
        lines.append(f"verdict  refused: {_reply(report)}" if report.refused else "verdict  passes to the mail server")
    lines.append(f"cost     {report.seconds * 1000:.3f} ms of CPU for {report.octets} octets")
    return lines


# The command


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(prog="messagewalltest", description="Shows what becomes of a saved message.", allow_abbrev=False)
    parser.add_argument("-c", metavar="FILE", dest="file", default=CONFIGURATION, help=f"default {CONFIGURATION}")
    who = parser.add_mutually_exclusive_group()
    who.add_argument("-p", metavar="PROFILE", dest="profile", help="judge by this profile")
    who.add_argument("-r", metavar="RECIPIENT", dest="recipient", help="judge as for this recipient")
    parser.add_argument("-i", metavar="IP", dest="client", help="client's address; without it its checks are left out")
    parser.add_argument("-n", metavar="HELO", dest="helo", help="client's name in EHLO; the same")
    parser.add_argument("-s", metavar="REVERSE-PATH", dest="reverse_path", help="default: of the message's own fields")
    parser.add_argument("--no-dns", action="store_true", help="ask nobody: checks that look something up find nothing")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("message", metavar="FILE", nargs="?", default="-", help="the message; - or none: stdin")
    return parser.parse_args(arguments)


def _mailbox(text: str, what: str) -> Mailbox | None:
    try:
        mailbox, rest = parse_path(text if text.startswith("<") else f"<{text}>")
    except AddressError as error:
        _refuse(f"{what} {text}: {error}")
    if rest:
        _refuse(f"{what} {text}: text behind the address")
    return mailbox


def _refuse(why: str) -> NoReturn:
    print(f"messagewalltest: {printable(why)}", file=sys.stderr)
    sys.exit(USAGE)


def _address_in(message: bytes, *names: str) -> Mailbox | None:
    """The first address in the first of these header fields that has one."""
    try:
        fields = values_by_name(take_header([message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")]))
    except HeaderError:
        return None
    for name in names:
        for value in fields.get(name, []):
            for address in addresses_in(value):
                try:
                    return parse_path(f"<{address}>")[0]
                except AddressError:
                    continue
    return None


def _envelope(options: argparse.Namespace, configuration: Configuration, message: bytes) -> Envelope:
    try:
        client = parse_address(options.client or _NOBODY)
    except ValueError as error:
        _refuse(f"-i: {error}")
    recipient = _mailbox(options.recipient, "-r") if options.recipient else _address_in(message, "to", "cc")
    if options.reverse_path is None:
        reverse_path = _address_in(message, "return-path", "from")
    else:
        reverse_path = _mailbox(options.reverse_path, "-s")
    relay = client in configuration.policy.relay_ips
    return Envelope(client, relay, options.helo or "client.example", reverse_path, [recipient or _SOMEBODY])


def _profile(options: argparse.Namespace, configuration: Configuration, envelope: Envelope) -> Profile:
    policy = configuration.policy
    if options.profile is None:
        if options.recipient is None and not envelope.relay:
            return policy.default_profile
        return profile_for(policy, envelope.recipients[0], envelope.relay)
    if options.profile not in policy.profiles:
        _refuse(f"-p: no profile is named {options.profile}; there are {', '.join(sorted(policy.profiles))}")
    return policy.profiles[options.profile]


def _without_guesses(options: argparse.Namespace, profile: Profile) -> Profile:
    """The profile without what the DNS could only be asked about a client that nobody has named."""
    unknown = {*(_OF_CLIENT if options.client is None else ()), *(_OF_HELO if options.helo is None else ())}
    left_out = [lookup for lookup in profile.lookups if unknown.intersection(lookup.variables)]
    if left_out and not options.no_dns:
        names = ", ".join(sorted({name for lookup in left_out for name in lookup.variables}))
        print(f"messagewalltest: left out without -i and -n, who the client was: {names}", file=sys.stderr)
    return dataclasses.replace(profile, lookups=tuple(one for one in profile.lookups if one not in left_out))


def main() -> int:
    """Exit codes: 0 passes, 1 refused or a bad configuration, 2 usage, 66 no such message."""
    options = _parse(sys.argv[1:])
    try:
        configuration = read_configuration(make_place(options.file, True))
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        if options.message == "-":
            message = sys.stdin.buffer.read()
        else:
            with open(options.message, "rb") as opened:
                message = opened.read()
    except OSError as error:
        print(f"messagewalltest: {options.message}: {error.strerror}", file=sys.stderr)
        return os.EX_NOINPUT
    envelope = _envelope(options, configuration, message)
    profile = _without_guesses(options, _profile(options, configuration, envelope))
    report = weigh(configuration, profile, envelope, message, not options.no_dns)
    if options.json:
        print(json.dumps(as_dictionary(report), indent=2))
    else:
        sys.stdout.write(as_text(report))
    return 1 if report.refused else os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
