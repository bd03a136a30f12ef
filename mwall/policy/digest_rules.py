"""dnsdcc: a digest of a file in the message is listed.

The digest is SHA-256 of the file's octets, decoded and unpacked, in base32 as a label in front of the zone: the form of
Spamhaus' Hash Blocklist. Older digests are not to be had: for MD5 anybody can make a bad file and a good one that have
the same.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from mwall.config.grammar import Variable
from mwall.policy.checks import Envelope
from mwall.policy.content import ContentCheck, File, Scanner
from mwall.policy.lookups import Lookup, Needs
from mwall.policy.zones import Name, ZoneRule, parse_zone_rule, zone_lookups

# So many questions may one message cost; honest mail seldom has as many files.
MAX_DIGESTS = 32
_OF_NOTHING = hashlib.sha256().digest()

VARIABLES: tuple[Variable, ...] = (
    Variable(
        "dnsdcc", parse_zone_rule, "", repeatable=True, example="5,_file.hbl.example.org=127.0.3.[10..15]",
        meaning="a digest of a file in the message is listed: SHA-256 in base32, of its decoded octets",
    ),
)  # fmt: skip


def compile_checks(values: Mapping[str, Any]) -> list[ContentCheck]:
    """The checks that a profile's values ask for."""
    rules: tuple[ZoneRule, ...] = values["dnsdcc"]
    return [ContentCheck(("dnsdcc",), lambda: DigestScanner(rules))] if rules else []


class DigestScanner(Scanner):
    """The digests of one message's files, each once."""

    takes_bare = True

    def __init__(self, rules: tuple[ZoneRule, ...]) -> None:
        self._rules = rules
        self._title = ""
        self._digest = hashlib.sha256()
        self._titles: dict[bytes, str] = {}  # by digest

    def file(self, file: File) -> Callable[[bytes], None] | None:
        self._keep_digest()
        if len(self._titles) == MAX_DIGESTS:
            return None
        self._title = file.title
        return self._digest.update

    def _keep_digest(self) -> None:
        """One file after the other is shown, and nothing tells that one has ended but the next one or the end."""
        digest = self._digest.digest()
        if digest != _OF_NOTHING:
            self._titles.setdefault(digest, self._title)
        self._digest = hashlib.sha256()

    def lookups(self) -> list[Lookup]:
        self._keep_digest()
        labels = [(label_of(digest), title) for digest, title in self._titles.items()]
        names: list[Name] = [(label, f"the digest {label} of {title}") for label, title in labels]

        def digests(envelope: Envelope) -> list[Name]:
            return names

        return zone_lookups("dnsdcc", Needs.CONTENT, self._rules, digests) if names else []


def label_of(digest: bytes) -> str:
    """The digest in base32 (RFC 4648 6) without the padding, which no name could hold."""
    return base64.b32encode(digest).decode("ascii").rstrip("=").lower()
