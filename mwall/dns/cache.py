"""What the DNS answered, for as long as it may be kept, in bounded memory: the least recently used leaves first.

The order of a dict is the order of use: what is used is taken out and put in again, at the end. Leaving entries are
holes at its front that are stepped over each time until the dict is laid out anew; several leave at a time for that.
"""

from ipaddress import IPv4Address, IPv6Address

from mwall.dns.answers import Answer, Authority, Exchange, Question, Record
from mwall.dns.message import MAX_TTL

# What tracemalloc sees of CPython 3.11 on 64 bits, rounded up; tests/dns/test_cache.py holds them against it.
_ENTRY_OCTETS = 470  # the question, the answer, and their place, without what follows
_IPV4_OCTETS = 98
_IPV6_OCTETS = 116
_STR_OCTETS = 57  # without its characters
_BYTES_OCTETS = 41
_EXCHANGE_OCTETS = 104 + _STR_OCTETS
_AUTHORITY_OCTETS = 160 + 2 * _STR_OCTETS


class Cache:
    """Answers by question, until their time is over. `octets`: the memory that they take, by an estimate."""

    __slots__ = ("_entries", "_max_octets", "octets")

    def __init__(self, max_octets: int) -> None:
        self._max_octets = max_octets
        self._entries: dict[Question, tuple[Answer, float, int]] = {}  # with the time it ends and its octets
        self.octets = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, question: Question, now: float) -> Answer | None:
        """The answer to a question, with the TTL that it came with; `now`: seconds of a clock that never goes back."""
        entry = self._entries.pop(question, None)
        if entry is None:
            return None
        answer, end, octets = entry
        if now >= end:
            self.octets -= octets
            return None
        self._entries[question] = entry
        return answer

    def put(self, question: Question, answer: Answer, now: float) -> None:
        """Keep an answer for its TTL, MAX_TTL seconds at most; one with a TTL of 0, or larger than all room, never."""
        octets = _octets_of(question, answer)
        if answer.ttl <= 0 or octets > self._max_octets:
            return
        if old := self._entries.pop(question, None):
            self.octets -= old[2]
        self._entries[question] = answer, now + min(answer.ttl, MAX_TTL), octets
        self.octets += octets
        if self.octets > self._max_octets:
            self._make_room(octets)

    def _make_room(self, newest: int) -> None:
        """Let the oldest go until a sixteenth is free, but never the newest, of so many octets."""
        bound = max(self._max_octets * 15 // 16, newest)
        leaving = []
        for question, (_, _, octets) in self._entries.items():
            if self.octets <= bound:
                break
            leaving.append(question)
            self.octets -= octets
        for question in leaving:
            del self._entries[question]


def _octets_of(question: Question, answer: Answer) -> int:
    octets = _ENTRY_OCTETS + len(question.name) + len(answer.why)
    for record in answer.records:
        octets += _octets_of_record(record)
    return octets


def _octets_of_record(record: Record) -> int:
    if isinstance(record, IPv4Address):
        return _IPV4_OCTETS
    if isinstance(record, IPv6Address):
        return _IPV6_OCTETS
    if isinstance(record, Exchange):
        return _EXCHANGE_OCTETS + len(record.name)
    if isinstance(record, Authority):
        return _AUTHORITY_OCTETS + len(record.name) + len(record.mailbox)
    return len(record) + (_STR_OCTETS if isinstance(record, str) else _BYTES_OCTETS)
