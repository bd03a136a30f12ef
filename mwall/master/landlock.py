"""Landlock: which files this process may still reach (landlock(7)), through the bare system calls.

Access rights have come one ABI at a time, and a kernel refuses a ruleset that
names one it does not know. So the kernel is asked for its ABI first, and what
it cannot handle is left out. Network rights stay unhandled: backends may listen
on any port.
"""

import ctypes
import os
import struct

# The numbers are the same on every architecture that shares the table of new calls; elsewhere they are
# unknown calls, which is reported as a kernel without Landlock.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1

# linux/landlock.h: bits of the access rights to files, and all that an ABI knows.
READ_FILE = 1 << 2
READ_DIR = 1 << 3
RESOLVE_UNIX = 1 << 16
_ACCESS_BITS_OF_ABI = ((1, 13), (2, 14), (3, 15), (5, 16), (9, 17))

SCOPE_ABSTRACT_SOCKETS = 1 << 0
SCOPE_SIGNALS = 1 << 1
_SCOPES_SINCE_ABI = 6

# glibc's own wrapper sets errno; loaded at import because a jail has no libraries to load.
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def abi() -> int:
    """The kernel's Landlock ABI, 1 or more. Raises OSError where there is none (landlock_create_ruleset(2))."""
    return _system_call(_CREATE_RULESET, None, 0, _ASK_VERSION)


def restrict(beneath_root: int = 0, unhandled: int = 0, scopes: int = 0) -> None:
    """Refuses, for good, every access to files but the rights `beneath_root` on what lies beneath "/".

    Rights in `unhandled` stay as they were. `scopes` keeps the process from abstract sockets or from signalling
    processes outside of its domain, where the ABI has scopes. Needs NO_NEW_PRIVS; descriptors that are open stay
    usable. Raises OSError where the kernel refuses: nothing is restricted then.
    """
    version = abi()
    handled = (1 << max(bits for since, bits in _ACCESS_BITS_OF_ABI if since <= version)) - 1
    handled &= ~unhandled
    scoped = scopes if version >= _SCOPES_SINCE_ABI else 0
    # struct landlock_ruleset_attr: files, network, scopes. Older kernels take the longer one if its end is zero.
    attributes = struct.pack("=QQQ", handled, 0, scoped)
    ruleset = _system_call(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        if beneath_root:
            _allow_beneath_root(ruleset, beneath_root & handled)
        _system_call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow_beneath_root(ruleset: int, rights: int) -> None:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # struct landlock_path_beneath_attr, which is packed.
        _system_call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, root), 0)
    finally:
        os.close(root)


def _system_call(number: int, *arguments: int | bytes | None) -> int:
    # The wrapper is variadic: whatever ctypes would pass as a C int must be widened to a whole register.
    widened = [ctypes.c_long(one) if isinstance(one, int) else ctypes.c_char_p(one) for one in arguments]
    result = int(_libc.syscall(ctypes.c_long(number), *widened))
    if result < 0:
        number_of_error = ctypes.get_errno()
        raise OSError(number_of_error, os.strerror(number_of_error))
    return result
