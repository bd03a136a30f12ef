"""Names as the DNS carries them (RFC 1035 3.1, 4.1.4), and as text.

What is asked for holds letters, digits, hyphens and underscores only. What comes may hold any octet, and each other
one is escaped in the text (RFC 4343 2.1): the name of one host can neither look like another's nor break a line.
"""

import re

MAX_NAME_OCTETS = 255  # on the wire, with the root label (RFC 1035 2.3.4)
MAX_LABEL_OCTETS = 63
# A name has 127 labels at most, and a pointer that no label or the root follows serves nothing. The bound keeps a
# name's cost small whatever chain of pointers it enters.
MAX_POINTERS = 128

_POINTER = 0xC0
_LABEL = "[A-Za-z0-9_-]"
_NAME = re.compile(rf"{_LABEL}{{1,{MAX_LABEL_OCTETS}}}(?:\.{_LABEL}{{1,{MAX_LABEL_OCTETS}}})*")
# How each octet of a label reads: for str.translate.
_TEXT = [chr(octet).lower() if re.match(_LABEL, chr(octet)) else f"\\{octet:03}" for octet in range(256)]


class DnsNameError(ValueError):
    """A name that cannot be asked for, or cannot be read; str() is the reason, in our own words."""


def to_wire(name: str) -> bytes:
    """Return a name, written without a final dot, as it goes on the wire; its case is kept.

    Raises DnsNameError where it is empty or too long, has such a label, or a character other than a letter, a digit,
    hyphen and underscore: names with escapes come from the DNS and are not asked for.
    """
    if len(name) > MAX_NAME_OCTETS - 2:  # the first length octet and the root label come on top
        raise DnsNameError(f"the name has more than {MAX_NAME_OCTETS} octets")
    if not _NAME.fullmatch(name):
        raise DnsNameError(_fault(name))
    return ("".join([chr(len(label)) + label for label in name.split(".")]) + "\0").encode("ascii")


def _fault(name: str) -> str:
    labels = name.split(".")
    if not all(labels):
        return "the name is empty, or a label of it"
    if max(map(len, labels)) > MAX_LABEL_OCTETS:
        return f"a label of the name has more than {MAX_LABEL_OCTETS} octets"
    return "the name has a character that is no letter, digit, hyphen or underscore"


def read_name(message: bytes, offset: int) -> tuple[str, int]:
    """Return the text of the name at `offset`, '' for the root, and the offset after it (RFC 1035 4.1.4).

    A pointer has to point before all that was read of the name so far, so that none leads in a circle. Raises
    DnsNameError. Its cost is bounded, whatever the message: MAX_NAME_OCTETS and MAX_POINTERS.
    """
    labels: list[str] = []
    octets = 1  # of the name on the wire without compression, with the root label
    after = pointers = 0
    begin = offset  # of the part that is being read
    try:
        while length := message[offset]:
            if length <= MAX_LABEL_OCTETS:
                octets += 1 + length
                if octets > MAX_NAME_OCTETS:
                    raise DnsNameError(f"a name has more than {MAX_NAME_OCTETS} octets")
                end = offset + 1 + length  # where that is beyond the message, the next look raises IndexError
                labels.append(message[offset + 1 : end].decode("latin-1").translate(_TEXT))
                offset = end
            elif length >= _POINTER:
                target = (length - _POINTER) << 8 | message[offset + 1]
                pointers += 1
                if target >= begin or pointers > MAX_POINTERS:
                    raise DnsNameError("a name has a pointer that does not point backward, or too many")
                after = after or offset + 2
                begin = offset = target
            else:  # 01 and 10 are not in use (RFC 6891 5)
                raise DnsNameError("a name has a label of unknown kind")
    except IndexError:
        raise DnsNameError("a name goes beyond the end of the message") from None
    return ".".join(labels), after or offset + 1
