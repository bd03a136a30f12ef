"""The files of the configuration: read whole, and handed as octets to the rooms that understand them.

The same code reads before the jail as root, inside it as the daemon's user, and
at every HUP, so that what a HUP could not read is found at the start.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from mwall.config.grammar import ConfigurationError, Fault, parse_assignments
from mwall.config.settings import Settings, parse_settings
from mwall.policy.load import Policy, load_policy, pattern_files
from mwall.worker.resolver import NameServer, name_server

_MAX_FILE = 16 << 20  # octets


class Configuration(NamedTuple):
    """All that the files say.

    `pattern_files`: what profiles name beside what messagewall.conf does, inside root. `name_servers`: those of the
    settings, with the number of the interface where one names it.
    """

    settings: Settings
    policy: Policy
    pattern_files: tuple[str, ...]
    name_servers: tuple[NameServer, ...]


class Place(NamedTuple):
    """Where the files are, and what the machine adds to them.

    file: messagewall.conf, absolute, links resolved. default_root: its folder. jailed: the process's own root is
    `root`. cores, host_name, foreground, nameservers: for parse_settings().
    """

    file: str
    default_root: str
    jailed: bool
    cores: int
    host_name: str
    foreground: bool
    nameservers: str


def read_configuration(place: Place, root: str | None = None) -> Configuration:
    """Reads and checks every file. `root` must be given once jailed. Raises ConfigurationError with all faults."""
    faults: list[Fault] = []
    text = _read(_inside(place.file, root) if root is not None and place.jailed else place.file, place.file, faults)
    if faults:
        raise ConfigurationError(faults)
    settings = parse_settings(
        text,
        place.file,
        cores=place.cores,
        host_name=place.host_name,
        foreground=place.foreground,
        default_root=place.default_root,
        nameservers=place.nameservers,
    )
    if not place.file.startswith(settings.root.rstrip("/") + "/"):
        why = f"{place.file} does not lie in it; a HUP could not read it again from inside the chroot"
        raise ConfigurationError([Fault(place.file, 0, "root", why)])
    servers: list[NameServer] = []
    for server in settings.nameservers:
        try:
            servers.append(name_server(server))
        except OSError as error:
            line = sum([one.line for one in parse_assignments(text, place.file, []) if one.name == "nameservers"])
            faults.append(Fault(place.file, line, "nameservers", f"{server} cannot be used: {error.strerror}"))
    above = "" if place.jailed else settings.root
    maps: dict[str, bytes] = {}
    for variable, path in settings.named_paths().items():
        maps[path] = _read(_join(above, path), path, faults, variable)
    profiles: dict[str, bytes] = {}
    for path in _list(_join(above, settings.profile_dir), settings.profile_dir, faults):
        profiles[path] = _read(_join(above, path), path, faults)
    told = {fault.file for fault in faults}  # of a file that cannot be read nothing else is worth saying
    patterns: dict[str, bytes] = {}
    for path, (file, line) in pattern_files(profiles).items():
        found: list[Fault] = []
        patterns[path] = _read(_join(above, path), path, found, "virus_scan")
        # The profile that names the file is where to mend it.
        faults += [fault._replace(file=file, line=line, why=f"{path}: {fault.why}") for fault in found]
    try:
        policy = load_policy(settings, maps, profiles, patterns)
    except ConfigurationError as error:
        faults += [fault for fault in error.faults if fault.file not in told]
    if faults:
        raise ConfigurationError([_with_root(fault, settings.root) for fault in faults])
    return Configuration(settings, policy, tuple(patterns), tuple(servers))


def concerns(configuration: Configuration) -> list[str]:
    """What is no fault and yet is hardly meant, each as a sentence that says where."""
    settings, policy, *_ = configuration
    if len(policy.local_domains) or len(policy.relay_ips):
        return []
    path = _join(settings.root, settings.local_domains)
    return [f"{path}: names no domain, and relay_ips names no client: every recipient is refused"]


def writable_by(configuration: Configuration, file: str, uid: int, gid: int) -> list[Fault]:
    """What of the configuration this user could change: whoever breaks into a worker must not own the next start."""
    settings = configuration.settings
    faults = []
    for path in dict.fromkeys([*_folders_between(settings.root, file), file, *_named(configuration)]):
        with suppress(OSError):  # what cannot be looked at has been reported by the reading
            status = os.stat(path)
            by_group = status.st_gid == gid and status.st_mode & stat.S_IWGRP
            if status.st_uid == uid or by_group or status.st_mode & stat.S_IWOTH:
                why = f"the user {settings.user} could change it; chown it to root and take write permission away"
                faults.append(Fault(path, 0, "", why))
    return faults


def _folders_between(root: str, path: str) -> Iterator[str]:
    """`root` and each folder from it down to the one that `path` lies in: who can write there can put another file."""
    above = [path]
    while len(above[-1]) > len(root.rstrip("/") or "/"):
        above.append(os.path.dirname(above[-1]))
    return reversed(above[1:])


def _named(configuration: Configuration) -> Iterator[str]:
    settings = configuration.settings
    for path in (*settings.named_paths().values(), *configuration.pattern_files):
        yield from _folders_between(settings.root, _join(settings.root, path))
        yield _join(settings.root, path)
    folder = _join(settings.root, settings.profile_dir)
    yield from _folders_between(settings.root, folder)
    yield folder
    with suppress(OSError):
        yield from sorted(os.path.join(folder, name) for name in os.listdir(folder))


def _join(root: str, path: str) -> str:
    return f"{root.rstrip('/')}/{path.lstrip('/')}"


def _inside(file: str, root: str) -> str:
    return file[len(root.rstrip("/")) :]


def _with_root(fault: Fault, root: str) -> Fault:
    return fault if fault.file.startswith(root.rstrip("/") + "/") else fault._replace(file=_join(root, fault.file))


def _read(path: str, shown: str, faults: list[Fault], variable: str = "") -> bytes:
    """The octets of a regular file; b'' and a fault when it cannot be had."""
    try:
        # Without O_NONBLOCK a fifo would hold us for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        with open(descriptor, "rb", buffering=0) as opened:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                faults.append(Fault(shown, 0, variable, "is no regular file"))
                return b""
            octets = b"".join(iter(lambda: opened.read(1 << 20), b""))
    except OSError as error:
        hint = "; paths are inside root" if isinstance(error, FileNotFoundError) and variable else ""
        faults.append(Fault(shown, 0, variable, f"cannot be read: {error.strerror}{hint}"))
        return b""
    if len(octets) > _MAX_FILE:
        faults.append(Fault(shown, 0, variable, f"is larger than {_MAX_FILE >> 20}M"))
        return b""
    return octets


def _list(path: str, shown: str, faults: list[Fault]) -> list[str]:
    """The files of profile_dir; hidden ones are an editor's business."""
    try:
        with os.scandir(path) as entries:
            names = sorted(entry.name for entry in entries if entry.is_file() and not entry.name.startswith("."))
    except OSError as error:
        faults.append(Fault(shown, 0, "profile_dir", f"cannot be read: {error.strerror}; paths are inside root"))
        return []
    return [f"{shown.rstrip('/')}/{name}" for name in names]
