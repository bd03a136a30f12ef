"""What looks into a message's content: each check of a profile has a scanner for each message.

A message is read once (policy/reading.py), and whatever is found on the way is given to those scanners that care: the
parts, the names of files, the octets of each file, the lines of each text. A scanner overrides what it wants to know;
a profile whose scanners all leave a thing alone does not pay for it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from mwall.message.structure import Part
from mwall.policy.checks import Finding
from mwall.policy.lookups import Lookup

_EVENTS = ("part", "name", "file", "raw", "text", "fault", "unreadable")


class File(NamedTuple):
    """Octets that somebody may save as a file: a part, a block in a text, a member of an archive.

    names: what it may be called, the likeliest first; types: what it says it is, without those that say nothing;
    head: its first octets, up to a window of them.
    """

    names: Sequence[str]
    types: Sequence[str]
    head: bytes

    @property
    def title(self) -> str:
        """How a reason calls it; raw text of outside origin."""
        return f'"{self.names[0]}"' if self.names else f"a part of type {self.types[0]}" if self.types else "a part"


class Scanner:
    """One check's view of one message, from its first octet to its findings.

    `takes_bare`: file() gives it also what stands in the message as it is, which raw() has shown already.
    """

    cares_for: frozenset[str] = frozenset()
    takes_bare = False

    def __init_subclass__(cls) -> None:
        cls.cares_for = frozenset([name for name in _EVENTS if getattr(cls, name) is not getattr(Scanner, name)])

    def part(self, part: Part) -> None:
        """A part, also one that has parts itself."""

    def name(self, name: str) -> None:
        """The name of a file, raw."""

    def file(self, file: File) -> Callable[[bytes], None] | None:
        """A file begins. What is returned is given its octets in windows, the head too."""
        return None

    def raw(self) -> Callable[[bytes], None] | None:
        """The message as it came begins, header and all, without dot-stuffing. As file()."""
        return None

    def text(self) -> Callable[[bytes], None] | None:
        """A text begins. What is returned is given it as one line, in UTF-8, in pieces."""
        return None

    def fault(self, fault: str) -> None:
        """The structure or an encoding can be read in more than one way, or in none; in our own words."""

    def unreadable(self, reason: str) -> None:
        """An archive could not be looked into."""

    def findings(self) -> list[Finding]:
        """What was found. Called once, at the end."""
        return []

    def lookups(self) -> list[Lookup]:
        """What is still to be asked to find more. Called once, at the end."""
        return []


class ContentCheck(NamedTuple):
    """A check of the content; `variables`: those of the profile that it stands for."""

    variables: tuple[str, ...]
    scanner: Callable[[], Scanner]


def wanted(scanners: Sequence[Scanner], what: str) -> list[Scanner]:
    """Those scanners that care for one of the events above."""
    return [scanner for scanner in scanners if what in scanner.cares_for]
