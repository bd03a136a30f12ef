"""The policy as a whole, made of the settings and the bytes of all files they name.

All or nothing: it is used only if every file is right, so that a HUP never leaves half of a configuration in force.
"""

import difflib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from mwall.config.grammar import ConfigurationError, Fault, parse_assignments, quoted
from mwall.config.maps import (
    Domains,
    Networks,
    SpecialUsers,
    parse_domains,
    parse_networks,
    parse_special_users,
)
from mwall.config.settings import Settings
from mwall.config.values import parse_profile_name
from mwall.policy.matching import Matcher
from mwall.policy.patterns import parse_patterns
from mwall.policy.profile import Profile, parse_profile
from mwall.policy.virus_rules import parse_scan
from mwall.policy.zones import Kind

# Each has its counters in the shared table.
MAX_ZONES = 64


@dataclass(frozen=True, slots=True)
class Policy:
    """Whose mail is taken, from whom, and by which profile."""

    local_domains: Domains
    relay_ips: Networks
    special_users: SpecialUsers
    profiles: Mapping[str, Profile]
    default_profile: Profile
    relay_profile: Profile

    @property
    def zones(self) -> dict[str, set[Kind]]:
        """The lists that are asked, each with what it is asked for. A profile that nobody has asks none."""
        named = {name for _, _, name in self.special_users.items()}
        zones: dict[str, set[Kind]] = {}
        for profile in (self.default_profile, self.relay_profile, *(self.profiles[name] for name in named)):
            for zone, kind in profile.zones:
                zones.setdefault(zone, set()).add(kind)
        return zones


def pattern_files(profiles: Mapping[str, bytes]) -> dict[str, tuple[str, int]]:
    """The files that virus_scan names in these profiles (octets by path), each with the file and line that does."""
    named: dict[str, tuple[str, int]] = {}
    for file, text in profiles.items():
        for assignment in parse_assignments(text, file, []):
            if assignment.name == "virus_scan":
                with suppress(ValueError):  # told with the rest of the profile
                    named.setdefault(parse_scan(assignment.value).value, (file, assignment.line))
    return named


def load_policy(
    settings: Settings, maps: Mapping[str, bytes], profiles: Mapping[str, bytes], patterns: Mapping[str, bytes]
) -> Policy:
    """The policy of these files; raises ConfigurationError with all that is wrong in any of them.

    `maps` has the bytes of the files of settings.named_paths() by path; one that is missing there could not be read,
    which the caller reports. `profiles` has those of profile_dir by path; a profile's name is its file's base name.
    `patterns` has those of pattern_files(), empty where one could not be read.
    """
    faults: list[Fault] = []
    made: dict[str, Profile] = {}
    matchers = {path: _matcher(text, path, faults) for path, text in patterns.items()}
    names = {path.rpartition("/")[2]: path for path in profiles}
    for name, path in sorted(names.items()):
        profile = _profile(profiles[path], name, path, faults, matchers)
        if profile:
            made[name] = profile
    local_domains = parse_domains(maps.get(settings.local_domains, b""), settings.local_domains, faults)
    relay_ips = parse_networks(maps.get(settings.relay_ips, b""), settings.relay_ips, faults)
    users_file = settings.special_users
    special_users = parse_special_users(maps.get(users_file, b""), users_file, faults)
    for line, key, name in special_users.items():
        if name not in names:
            faults.append(Fault(users_file, line, key, _unknown(name, names, settings)))
    for variable in ("default_profile", "relay_profile"):
        name = getattr(settings, variable)
        if name not in names:
            faults.append(Fault(settings.profile_dir, 0, variable, _unknown(name, names, settings)))
    if faults:
        raise ConfigurationError(faults)
    default_profile, relay_profile = made[settings.default_profile], made[settings.relay_profile]
    policy = Policy(local_domains, relay_ips, special_users, made, default_profile, relay_profile)
    if len(policy.zones) > MAX_ZONES:
        why = f"the profiles in it name {len(policy.zones)} lists of the DNS together; at most {MAX_ZONES} can be asked"
        raise ConfigurationError([Fault(settings.profile_dir, 0, "", why)])
    return policy


def _profile(
    text: bytes, name: str, path: str, faults: list[Fault], matchers: Mapping[str, Matcher]
) -> Profile | None:
    try:
        parse_profile_name(name)
    except ValueError as error:
        faults.append(Fault(path, 0, "", f"{error}; each file in profile_dir is one: rename it or move it away"))
        return None
    return parse_profile(text, name, path, faults, matchers)


def _matcher(text: bytes, path: str, faults: list[Fault]) -> Matcher:
    known = len(faults)
    patterns = parse_patterns(text, path, faults)
    if text and not patterns and len(faults) == known:
        faults.append(Fault(path, 0, "", "has no pattern; add one, or take out the virus_scan that names it"))
    return Matcher(patterns)


def _unknown(name: str, names: Iterable[str], settings: Settings) -> str:
    near = difflib.get_close_matches(name, names, 1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else f"; there is no such file in {settings.profile_dir}"
    return f"no profile is named {quoted(name)}{hint}"
