"""Real DNS servers on ports of their own: rbldnsd for lists, unbound as the resolver before them.

Each is a child in the foreground, has its files in a folder of its own, is waited for by asking it, and ends with its
`with` block. Nothing here ever asks anybody outside: unbound knows what it is told, and its root is empty.
"""

from __future__ import annotations

import secrets
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

START_SECONDS = 10.0
# Zones that unbound has unless told otherwise, before which no record of ours would be seen.
_BY_ITSELF = (
    *("localhost", "invalid", "test", "onion", "home.arpa", "127.in-addr.arpa", "10.in-addr.arpa"),
    *("2.0.192.in-addr.arpa", "100.51.198.in-addr.arpa", "113.0.203.in-addr.arpa", "8.b.d.0.1.0.0.2.ip6.arpa"),
    "1." + "0." * 31 + "ip6.arpa",
)
_SOA = "300 ns.invalid. admin.invalid. 1 600 300 86400 300"


class List(NamedTuple):
    """A zone of rbldnsd, or the part of one that has several kinds. `kind`: ip4set, ip4trie, ip6trie, dnset, generic.

    `data` as in rbldnsd(8)."""

    zone: str
    kind: str
    data: str


class _Server:
    """A server's process and its folder."""

    def __init__(self, program: str, port: int, folder: Path) -> None:
        self.program = program
        self.port = port
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> str:
        """What it wrote."""
        return (self.folder / "output").read_text(errors="replace")

    def _run(self, command: Sequence[str], question: str) -> None:
        for parent in (self.folder, *self.folder.parents):
            if parent != Path("/tmp") and parent.is_relative_to("/tmp"):
                parent.chmod(0o755)  # it runs as a user of its own
        with (self.folder / "output").open("wb") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            end = time.monotonic() + START_SECONDS
            while not answers(self.port, question):
                assert self.process.poll() is None and time.monotonic() < end, f"{self.program}: {self.output}"
        except BaseException:
            self.stop()
            raise

    def start(self) -> None:
        """Starts it and waits until it answers."""
        raise NotImplementedError

    def stop(self) -> None:
        """Ends it; its port is free then."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Rbldnsd(_Server):
    """rbldnsd with these lists, on UDP at 127.0.0.1. Every negative answer has an SOA and may be kept 300 seconds."""

    def __init__(self, program: str, port: int, folder: Path, lists: Sequence[List]) -> None:
        super().__init__(program, port, folder)
        self.lists = list(lists)

    def _write(self, entry: List) -> str:
        name = f"{entry.zone}.{entry.kind}"
        (self.folder / name).write_text(f"$SOA {_SOA}\n$NS 300 ns.invalid\n{entry.data}\n")
        return f"{entry.zone}:{entry.kind}:{name}"

    def start(self) -> None:
        """Starts it and waits until it answers."""
        self.folder.mkdir(exist_ok=True)
        zones = [self._write(entry) for entry in self.lists]
        # Without -q it reads the lists before it serves, and ends if one of them is wrong.
        command = [self.program, "-n", "-u", "rbldns", "-w", str(self.folder), "-c", "0"]
        self._run([*command, "-b", f"127.0.0.1/{self.port}", *zones], self.lists[0].zone)

    def change(self, entry: List) -> None:
        """Puts other data in place of a list's and waits until rbldnsd has read it."""
        assert self.process is not None
        self._write(entry)
        read = self.output.count("zones reloaded")
        self.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + START_SECONDS
        while self.output.count("zones reloaded") == read:
            assert time.monotonic() < end, self.output
            time.sleep(0.01)


class Unbound(_Server):
    """unbound at 127.0.0.1 and ::1, UDP and TCP: `records` as in a zone file (all names absolute), and stubs by port.

    A name in no zone of `records` and of `stubs` does not exist.
    """

    def __init__(
        self,
        program: str,
        port: int,
        folder: Path,
        records: Sequence[str] = (),
        stubs: dict[str, int] | None = None,
        more: str = "",
    ) -> None:
        super().__init__(program, port, folder)
        self.records = records
        self.stubs = stubs or {}
        self.more = more

    def start(self) -> None:
        """Starts it and waits until it answers."""
        self.folder.mkdir(exist_ok=True)
        with suppress(LookupError):
            shutil.chown(self.folder, "unbound")
        (self.folder / "unbound.conf").write_text(self._configuration())
        self._run([self.program, "-d", "-p", "-c", str(self.folder / "unbound.conf")], "invalid")

    def _configuration(self) -> str:
        local = "".join(f"  local-data: '{record}'\n" for record in self.records)
        stubs = "".join(
            f'stub-zone:\n  name: "{zone}"\n  stub-addr: 127.0.0.1@{port}\n  stub-no-cache: no\n'
            for zone, port in self.stubs.items()
        )
        hidden = "".join(f'  local-zone: "{zone}." nodefault\n' for zone in _BY_ITSELF)
        open_zones = "".join(f'  local-zone: "{zone}." transparent\n' for zone in self.stubs)
        return f"""server:
  interface: 127.0.0.1
  interface: ::1
  port: {self.port}
  access-control: 127.0.0.0/8 allow
  access-control: ::1 allow
  do-daemonize: no
  chroot: ""
  username: "unbound"
  directory: "{self.folder}"
  pidfile: ""
  use-syslog: no
  verbosity: 1
  num-threads: 1
  outgoing-range: 512
  msg-cache-size: 2m
  rrset-cache-size: 4m
  module-config: "iterator"
  do-not-query-localhost: no
  use-caps-for-id: no
  edns-buffer-size: 1232
{self.more}{hidden}{open_zones}  local-zone: "." static
  local-data: '. 300 SOA ns.invalid. admin.invalid. 1 600 300 86400 300'
{local}remote-control:
  control-enable: no
{stubs}"""


def answers(port: int, name: str, within_seconds: float = 0.05) -> bool:
    """Whether a server there answers a question, in whatever way."""
    number = secrets.token_bytes(2)
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    query = number + struct.pack(">5H", 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 6, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, suppress(OSError):
        sock.settimeout(within_seconds)
        sock.connect(("127.0.0.1", port))
        sock.send(query)
        return sock.recv(4096)[:2] == number
    time.sleep(0.02)  # refused at once
    return False
