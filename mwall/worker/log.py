"""Log lines, to the system's log daemon or to stderr, as text or as JSON.

    {worker} (client) MODULE/LEVEL: text        {worker} [backend] MODULE/LEVEL: text

Whatever came from outside is escaped. A send never waits: a line that the log
daemon does not take is counted, and the count is logged once lines flow again.
The socket is shared by all processes; the log process connects it anew when
the daemon has been restarted (master/logprocess.py).
"""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress

from mwall.smtp.printable import printable

# RFC 5424 6.2.1. The facility comes from the configuration.
FACILITIES = {"user": 1, "mail": 2, "daemon": 3, "auth": 4, "authpriv": 10}
FACILITIES |= {f"local{number}": 16 + number for number in range(8)}
_SEVERITIES = {"FATAL": 3, "ERROR": 3, "WARNING": 4, "NOTICE": 5, "TEMPORARY": 5}
_INFO = 6
_MAX_LINE = 8000  # octets; larger datagrams are cut or refused by log daemons
_is_bare = re.compile(r"[!#-\[\]-~]+").fullmatch  # printable, and no space, quote or backslash


def field_text(value: object) -> str:
    """A value as it stands behind `name=` in a text line: bare where that is clear, else quoted."""
    text = printable(str(value), 2000)
    if _is_bare(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _json_line(fields: Mapping[str, object], limit: int) -> str:
    """The fields with the values that a text line has, each of `limit` characters at most."""
    return json.dumps({
        name: printable(value, 2 * limit if name == "text" else limit) if isinstance(value, str) else value
        for name, value in fields.items()
    })


def _nothing() -> None:
    """Nobody wants to know."""


def open_stderr() -> tuple[int, bool]:
    """(A descriptor for log lines that never makes us wait, whether it is a regular file). Before the jail.

    Stderr is opened anew where that can be done: O_NONBLOCK set on the old descriptor would change it for the shell
    and all else that shares it. A regular file never makes us wait. A socket (systemd's journal) cannot be opened anew,
    but nobody else speaks on it. Never descriptor 2 itself, which the detachment turns to /dev/null.
    """
    kind = os.fstat(2).st_mode
    if stat.S_ISFIFO(kind) or stat.S_ISCHR(kind):
        with suppress(OSError):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            return os.open("/proc/self/fd/2", flags), False
    descriptor = os.dup(2)
    if stat.S_ISSOCK(kind):
        os.set_blocking(descriptor, False)
    return descriptor, stat.S_ISREG(kind)


class Log:
    """Where one process logs. `who` is the worker's number, or `master`."""

    def __init__(
        self, who: str, to: str, form: str, facility: str, daemon: socket.socket | None, stderr: int
    ) -> None:
        """`to`: stderr or syslog; `form`: text or json; `stderr`: a descriptor from open_stderr()."""
        self.who = who
        self._json = form == "json"
        self._facility = FACILITIES[facility] * 8
        self._daemon = daemon if to == "syslog" else None
        self._stderr = stderr if to == "stderr" else -1
        self._second = 0
        self._stamp = ""
        self._lost = 0
        self.on_lost: Callable[[], None] = _nothing  # a line was lost
        self.on_broken: Callable[[], None] = _nothing  # the socket must be connected again

    def client(self, address: str, module: str, level: str, text: str) -> None:
        """A line about a client."""
        self.write("client", address, module, level, {"text": text})

    def backend(self, address: str, module: str, level: str, text: str) -> None:
        """A line about a backend."""
        self.write("backend", address, module, level, {"text": text})

    def process(self, level: str, text: str) -> None:
        """A line about the daemon itself."""
        self.write("", "", "PROCESS", level, {"text": text})

    def bug(self) -> None:
        """The exception being handled, with its trace, as one line."""
        trace = traceback.format_exc(limit=-12)
        self.process("ERROR", "bug, please report it: " + " | ".join(trace.strip().splitlines()))

    def write(self, side: str, address: str, module: str, level: str, fields: Mapping[str, object]) -> None:
        """One line. A field named `text` stands alone; `side` is client, backend, or empty."""
        if self._json:
            place = {side: address} if side else {}
            whole = {"worker": self.who, **place, "module": module, "level": level, **fields}
            line = _json_line(whole, 2000)
            if len(line) > _MAX_LINE:  # cut at the end it would be no JSON
                line = _json_line(whole, 400)
        else:
            place_text = f" ({address})" if side == "client" else f" [{address}]" if side else ""
            if "text" in fields:
                text = printable(str(fields["text"]), 4000)
            else:
                text = " ".join([f"{name}={value}" if value.__class__ is not str or _is_bare(value)
                                 else f"{name}={field_text(value)}" for name, value in fields.items()])  # fmt: skip
            line = f"{{{self.who}}}{place_text} {module}/{level}: {text}"
        self._send(_SEVERITIES.get(level, _INFO), line[:_MAX_LINE])

    def _send(self, severity: int, line: str) -> None:
        second = int(time.time())
        if second != self._second:
            self._second = second
            form = "%Y-%m-%dT%H:%M:%S%z" if self._stderr >= 0 else "%b %e %H:%M:%S"
            self._stamp = time.strftime(form, time.localtime(second))
        try:
            if self._stderr >= 0:
                head = f'{{"time": "{self._stamp}", ' if self._json else f"{self._stamp} messagewall: "
                os.write(self._stderr, f"{head}{line[self._json:]}\n".encode("ascii", "replace"))
            elif self._daemon is not None:
                head = f"<{self._facility + severity}>{self._stamp} messagewall[{os.getpid()}]: "
                self._daemon.send((head + line).encode("ascii", "replace"), socket.MSG_DONTWAIT)
        except OSError as error:
            self._lost += 1
            self.on_lost()
            if not isinstance(error, BlockingIOError):
                self.on_broken()
            return
        if self._lost:
            lost, self._lost = self._lost, 0
            self.process("WARNING", f"{lost} log lines were lost: the log daemon did not take them")
