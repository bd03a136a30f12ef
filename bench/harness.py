"""What is measured, started and stopped: the peers, a smtp-sink behind each, their CPU time and memory.

Every peer has a port, a work folder and a sink of its own, so that the messages which arrived are counted for each.
All stay in the foreground and run at once; one is loaded at a time.
"""

import os
import platform
import random
import re
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
HOST = "127.0.0.1"
MOST_CLIENTS = 9100
START_SECONDS = 30.0
STOP_SECONDS = 5.0

Command = Callable[[int, int, Path], list[str]]
"""Makes a peer's command line out of its port, its sink's port and its work folder."""


class DidNotStart(Exception):
    """A peer or its sink gave no greeting in time; the text says where its output is."""


def tool(name: str) -> str:
    """The path of a program, also of one in /usr/sbin when PATH lacks that. Raises DidNotStart."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        raise DidNotStart(f"{name} is not installed; make peers installs all but rspamd")
    return found


def raise_descriptor_limit() -> int:
    """As many descriptors as we may have, for us and what we start; HAProxy takes two for each client."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (65536, hard):
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, max(limit, hard)))
            return limit
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def local_ports() -> int:
    """How many ports there are to connect from: one for each idle client."""
    low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    return int(high) - int(low) + 1


def free_port() -> int:
    """A port nobody listens on, below those the kernel gives to outgoing connections."""
    for port in random.sample(range(12000, 32000), 200):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return port
    raise DidNotStart("no free port between 12000 and 32000")


def tree(pid: int) -> list[psutil.Process]:
    """The process and all below it that are still there."""
    with suppress(psutil.Error):
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    return []


def cpu_seconds(pid: int) -> float:
    """User and system time of a process tree, with that of children that have ended."""
    total = 0.0
    for process in tree(pid):
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def pss_mib(pid: int) -> float:
    """Memory of a process tree, MiB; a page that several processes share counts in parts (PSS)."""
    octets = 0
    for process in tree(pid):
        with suppress(psutil.Error):
            octets += process.memory_full_info().pss
    return octets / 2**20


def stop(process: subprocess.Popen[bytes]) -> None:
    """TERM to the process alone, as an admin would; KILL to what is left of its tree after a while."""
    everything = tree(process.pid)
    with suppress(OSError):
        process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    _, left = psutil.wait_procs(everything, timeout=1.0)
    for each in left:
        with suppress(psutil.Error):
            each.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)


def greets(port: int) -> bool:
    """Whether a 220 comes from there now."""
    with suppress(OSError), socket.create_connection((HOST, port), timeout=5) as connection:
        if connection.recv(512).startswith(b"220"):
            connection.sendall(b"QUIT\r\n")
            connection.recv(512)
            return True
    return False


def spawn(command: list[str], output: Path, port: int, folder: Path) -> subprocess.Popen[bytes]:
    """Starts a server and waits for its greeting. Raises DidNotStart."""
    with output.open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and process.poll() is None:
            if greets(port):
                return process
            time.sleep(0.1)
    except BaseException:
        stop(process)
        raise
    stop(process)
    last = output.read_text(errors="replace")[-800:].rstrip()
    raise DidNotStart(f"{command[0]}: no greeting on port {port}; its output ends:\n{last}")


class Sink:
    """A smtp-sink that counts the messages it has taken whole."""

    def __init__(self, work: Path) -> None:
        self.port = free_port()
        self._counts = work / "sink.counts"
        command = [tool("smtp-sink"), "-c", "-m", "12000", "-u", "nobody", f"{HOST}:{self.port}", "4096"]
        self.process = spawn(command, self._counts, self.port, work)

    def arrived(self) -> int:
        """Messages until now, as the last of the lines that smtp-sink -c writes says."""
        with self._counts.open("rb") as counts:
            counts.seek(max(0, counts.seek(0, os.SEEK_END) - 200))
            found = re.findall(rb"mesg=\s*(\d+)", counts.read())
        return int(found[-1]) if found else 0


class Peer:
    """One of those compared, running before its own sink. `direct` is that sink itself.

    Raises DidNotStart."""

    def __init__(self, name: str, command: Command | None, base: Path) -> None:
        self.name = name
        self.work = base / f"{name}-{free_port()}"
        self.work.mkdir()
        self.work.chmod(0o755)
        self._process: subprocess.Popen[bytes] | None = None
        self.sink = Sink(self.work)
        self.port = self.sink.port
        if command is not None:
            try:
                self.port = free_port()
                words = command(self.port, self.sink.port, self.work)
                self._process = spawn(words, self.work / "log", self.port, PROJECT)
            except BaseException:
                self.stop()
                raise

    @property
    def pid(self) -> int | None:
        """Of the process that was started; none of direct."""
        return self._process.pid if self._process else None

    def last_output(self) -> str:
        """The end of what it wrote."""
        return (self.work / "log").read_text(errors="replace")[-800:].rstrip()

    def cpu_seconds(self) -> float:
        """Of the peer's tree, its sink's not counted; 0 for direct."""
        return cpu_seconds(self._process.pid) if self._process else 0.0

    def pss_mib(self) -> float:
        """The same for memory."""
        return pss_mib(self._process.pid) if self._process else 0.0

    def stop(self) -> None:
        """Ends the peer, then its sink."""
        if self._process:
            stop(self._process)
        stop(self.sink.process)


def haproxy(port: int, sink: int, work: Path) -> list[str]:
    """HAProxy in TCP mode: what a relay costs that does not look at the mail."""
    configuration = work / "haproxy.cfg"
    configuration.write_text(
        f"""global
    maxconn {MOST_CLIENTS}
defaults
    mode tcp
    timeout connect 10s
    timeout client 600s
    timeout server 600s
frontend smtp
    bind {HOST}:{port} backlog 4096
    default_backend sink
backend sink
    server sink {HOST}:{sink}
"""
    )
    return [tool("haproxy"), "-db", "-f", str(configuration)]


def messagewall_with(profile: str, more: str = "", variables: Mapping[str, object] | None = None) -> Command:
    """The real command as root, in its jail, with that profile as it is shipped and the log on.

    `more`: lines for the end of the profile. `variables`: of messagewall.conf, besides those that the peers need."""

    def command(port: int, sink: int, work: Path) -> list[str]:
        root = work / "root"
        profiles = root / "profiles"
        profiles.mkdir(parents=True)
        for name in {profile, "Relay"}:
            shutil.copyfile(PROJECT / "conf" / "profiles" / name, profiles / name)
        with (profiles / profile).open("a") as written:
            written.write(more)
        shutil.copyfile(PROJECT / "conf" / "virus.patterns", root / "virus.patterns")
        (root / "local_domains").write_text("example.org\n")
        values = {**_variables(port, sink, profile), **(variables or {})}
        configuration = root / "messagewall.conf"
        configuration.write_text("".join(f'{name}="{value}"\n' for name, value in values.items()))
        for path in [root, *root.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        return [sys.executable, "-m", "mwall.program.messagewall", "-c", str(configuration), "-f"]

    return command


def _variables(port: int, sink: int, profile: str) -> dict[str, object]:
    return {
        "listen_ip": HOST,
        "listen_port": port,
        "backend_ip": HOST,
        "backend_port": sink,
        "domain": "bench.example.org",
        "user": "nobody",
        "group": "nogroup",
        "max_clients": MOST_CLIENTS,
        "max_per_ip": MOST_CLIENTS,
        "verify_recipients": 1,
        "default_profile": profile,
    }


def added(template: str) -> Command:
    """A peer of the user's: a command line with {port}, {sink} and {work} in it that stays in the foreground."""

    def command(port: int, sink: int, work: Path) -> list[str]:
        return ["/bin/sh", "-c", "exec " + template.format(port=port, sink=sink, work=work)]

    return command


PEERS: dict[str, Command | None] = {"direct": None, "haproxy": haproxy, "messagewall": messagewall_with("Medium")}


def _first_line(*command: str) -> str:
    with suppress(OSError, subprocess.SubprocessError, DidNotStart):
        words = [tool(command[0]), *command[1:]]
        done = subprocess.run(words, capture_output=True, text=True, timeout=10, check=False)
        return (done.stdout.strip().splitlines() or ["?"])[0]
    return "not found"


def machine() -> list[str]:
    """What the figures depend on besides the programs."""
    cores = len(os.sched_getaffinity(0))
    memory = psutil.virtual_memory().total / 2**30
    postfix = _first_line("postconf", "-d", "-h", "mail_version")
    rspamd = _first_line("rspamd", "--version").removeprefix("Rspamd daemon version ")
    return [
        f"{cores} cores, {memory:.0f} GiB; kernel {platform.release()}; Python {platform.python_version()}",
        f"{_first_line('haproxy', '-v').split(' - ')[0]}; Postfix {postfix} (smtp-source, smtp-sink); rspamd {rspamd}",
        f"The same {cores} shared cores carry the load, the peer and its sink: "
        "messages/s mean little by themselves, ratios of the same round do.",
    ]
