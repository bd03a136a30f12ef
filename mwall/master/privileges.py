"""From root to nobody in particular, for good (design: the order of steps is the point)."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable
from typing import NamedTuple

from mwall.config.settings import Settings


class StartError(Exception):
    """The daemon cannot start; `code` is of sysexits.h, str() says why and what to do."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class Identity(NamedTuple):
    """The user and group that the daemon becomes."""

    uid: int
    gid: int


def resolve_identity(settings: Settings) -> Identity:
    """Looks `user` and `group` up, while /etc can be read. Raises StartError."""
    try:
        uid = pwd.getpwnam(settings.user).pw_uid
    except KeyError:
        command = f"useradd --system --no-create-home --shell /usr/sbin/nologin {settings.user}"
        raise StartError(os.EX_NOUSER, f"user: there is no user {settings.user}; make one: {command}") from None
    try:
        gid = grp.getgrnam(settings.group).gr_gid
    except KeyError:
        command = f"groupadd --system {settings.group}"
        raise StartError(os.EX_NOUSER, f"group: there is no group {settings.group}; make one: {command}") from None
    if uid == 0 or gid == 0:
        raise StartError(os.EX_CONFIG, "user, group: the daemon will not run as root; name another user and group")
    return Identity(uid, gid)


def enter_jail(root: str, identity: Identity) -> None:
    """Chroots, drops groups, gid and uid, and proves that there is no way back. Raises StartError."""
    try:
        os.chroot(root)
        os.chdir("/")
        os.setgroups([])
        os.setresgid(identity.gid, identity.gid, identity.gid)
        os.setresuid(identity.uid, identity.uid, identity.uid)
    except OSError as error:
        raise StartError(os.EX_NOPERM, f"root: cannot lock myself into {root}: {error.strerror}") from None
    _prove_no_way_back(identity)


def _prove_no_way_back(identity: Identity) -> None:
    if os.getresuid() != (identity.uid,) * 3 or os.getresgid() != (identity.gid,) * 3 or os.getgroups():
        why = "some privilege is left after all were dropped; this kernel is not to be trusted"
        raise StartError(os.EX_NOPERM, why)
    attempts: tuple[Callable[[], None], ...] = (
        lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0]), lambda: os.chroot("."),
    )  # fmt: skip
    for regain in attempts:
        try:
            regain()
        except PermissionError:
            continue
        raise StartError(os.EX_NOPERM, "root could be regained after giving it up; this kernel is not to be trusted")
