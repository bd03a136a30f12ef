"""What every reply of ours to a client must look like (RFC 5321 4.2, RFC 2034, reference: Refusals read ...)."""

import re
from typing import NamedTuple

_LINE = re.compile(rb"([2-5][0-5][0-9])([ -])([\t\x20-\x7e]+)\r\n")
_ENHANCED = re.compile(rb"([245])\.[0-9]{1,3}\.[0-9]{1,3} ")
_OWN_REFUSAL = re.compile(rb"[45]\.[0-9]+\.[0-9]+ MessageWall: [A-Z]+/(REJECT|TEMPORARY|FATAL): .")


class OneReply(NamedTuple):
    code: int
    lines: tuple[bytes, ...]

    @property
    def start(self) -> str:
        """Code and enhanced status code, as '250 2.1.0'; the code alone where there is no other."""
        enhanced = _ENHANCED.match(self.lines[0] + b" ")
        return f"{self.code} {enhanced.group().decode().strip()}" if enhanced else str(self.code)


def check_replies(octets: bytes) -> list[OneReply]:
    """The replies in `octets`; fails where their form is wrong."""
    replies: list[OneReply] = []
    lines: list[bytes] = []
    code = b""
    for line in re.findall(rb"[^\n]*\n|[^\n]+\Z", octets):
        match = _LINE.fullmatch(line)
        assert match, f"no reply line: {line!r}"
        assert len(line) <= 512
        assert not lines or match[1] == code, f"code changes: {line!r}"
        code = match[1]
        lines.append(match[3])
        if match[2] == b" ":
            replies.append(OneReply(int(code), tuple(lines)))
            lines = []
    assert not lines, "reply without an end"
    for one in replies:
        _check_enhanced_status_code(one)
    return replies


def _check_enhanced_status_code(one: OneReply) -> None:
    enhanced = _ENHANCED.match(one.lines[0] + b" ")
    if one.code in (220, 354):
        assert not enhanced
    elif one.code >= 400:
        assert enhanced and int(enhanced[1]) == one.code // 100, one
    elif enhanced:
        assert int(enhanced[1]) == 2
    else:
        assert one.code == 250 and b"." not in one.lines[0].split(b" ")[0][:2], one  # EHLO and HELO


def check_refusal(one: OneReply, *, fatal: bool = False) -> None:
    """That it is in MessageWall's own form, of the level that its class asks for."""
    match = _OWN_REFUSAL.match(one.lines[0])
    assert match, one
    assert match[1] == (b"FATAL" if fatal else b"REJECT" if one.code >= 500 else b"TEMPORARY")
