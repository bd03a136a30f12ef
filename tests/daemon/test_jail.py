"""The jail as the whole daemon lives in it: what it touches, what each process is, what the kernel refuses it.

The refusals one by one, and each layer of the fence alone, are in tests/master.
"""

from __future__ import annotations

import ast
import base64
import bz2
import gzip
import io
import os
import re
import signal
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.daemon.detached import patched
from tests.daemon.harness import MESSAGE, PROJECT, Client, Daemon, Sink, Site, until
from tests.daemon.system_log import PrivateDev

NOBODY = 65534

# A bug of ours that a client can call up.
BUG = (
    "from mwall.worker import message\n"
    "complete = message.MessagePassage._complete\n"
    "def complete_or_not(self, verdict):\n"
    "    if b'Subject: bug' in self._header: raise RuntimeError('called up')\n"
    "    complete(self, verdict)\n"
    "message.MessagePassage._complete = complete_or_not\n"
)


def many_readings() -> bytes:
    """A message that needs all that looks into one: charsets, HTML, encodings, archives in archives."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr("a.gz", gzip.compress(b"x" * 100_000))
        members.writestr("b.bz2", bz2.compress(b"x"), zipfile.ZIP_BZIP2)
    parts = [
        b"Content-Type: text/html; charset=%s\r\nContent-Transfer-Encoding: base64\r\n\r\n" % charset
        + base64.encodebytes(b"<p>&eacute;&#x41;<b style='display:none'>\xff\x1b$B0</b>").replace(b"\n", b"\r\n")
        for charset in (b"iso-2022-jp", b"utf-7", b"idna", b"x-none", b"rot13", b"cp037", b"utf-16")
    ]
    parts.append(
        b"Content-Type: application/zip; name*=koi8-t''%FF.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(archive.getvalue()).replace(b"\n", b"\r\n")
    )
    parts.append(b"\r\nbegin 644 x\r\n#0V%T\r\n`\r\nend\r\n")
    head = b"From: A <a@example.org>\r\nTo: b@example.org\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    return head + b"".join([b"--b\r\n" + part + b"\r\n" for part in parts]) + b"--b--\r\n"


def live_a_whole_life(daemon: Daemon, site: Site) -> None:
    """Mail accepted, refused, looked into; a bug with its trace, a HUP that fails, one that succeeds, TERM."""
    with Client(site.port) as client:
        assert client.message(MESSAGE).startswith(b"250")
        assert client.message(b"From: a\r\n\r\nbare \n here", ehlo=False).startswith(b"550")
        assert client.ask(b"MAIL FROM:<a@example.org>", b"RCPT TO:<b@example.net>").startswith(b"550")
        client.ask(b"RSET", b"NONSENSE", b"QUIT")
    with Client(site.port) as client:
        strange = b"Subject: =?x-no-such-charset?q?=41?= =?idna?b?AAA=?=\r\n" + MESSAGE
        assert client.message(strange).startswith(b"250")
        assert client.message(many_readings(), ehlo=False).startswith(b"250")
        assert client.message(b"Subject: bug\r\n" + MESSAGE, ehlo=False).startswith(b"421 4.3.0")
    trace = daemon.logged("RuntimeError: called up")
    assert "self._complete(verdict)" in trace  # source lines are there although their files are not
    text = site.file.read_text()
    site.file.write_text(text + "\nno_such=1\n")
    daemon.signal(signal.SIGHUP)
    daemon.logged("the configuration in force stays")
    site.file.write_text(text)
    daemon.signal(signal.SIGHUP)
    daemon.logged("reloaded")
    with Client(site.port) as client:
        assert client.message(MESSAGE).startswith(b"250")
    daemon.signal(signal.SIGUSR1)
    daemon.logged("COUNTERS/INFO")
    daemon.workers()[0].kill()
    daemon.logged("ended by signal 9")
    until(lambda: len(daemon.workers()) == 2, "another worker")
    daemon.signal(signal.SIGTERM)
    assert daemon.process is not None
    assert daemon.process.wait(20) == 0


# What it touches


def named_by_the_configuration(path: str, site: Site) -> bool:
    """Whether the configuration names this path inside root. Root itself is opened for Landlock, "" is fstat(2)."""
    if path in ("", "/", "/messagewall.conf", "/local_domains", "/profiles", "/virus.patterns"):
        return True
    return path.startswith("/profiles/") and (site.folder / path[1:]).exists()


class Trace:
    """What strace saw: each system call of a process that was in the jail by then, as (process, name, rest)."""

    def __init__(self, text: str) -> None:
        self.calls: list[tuple[int, str, str]] = []
        calls = self._whole(re.findall(r"^(\d+) +(?:<\.\.\. )?(\w+)(?:\(| resumed>)(.*)", text, re.MULTILINE))
        master = calls[0][0]
        enter_by_themselves = {pid for pid, name, _ in calls if name == "setresuid"}  # the master, the log process
        jailed: set[str] = set()
        known: set[str] = set()
        for pid, name, rest in calls:
            if pid not in known and master in jailed and pid not in enter_by_themselves:
                jailed.add(pid)  # forked in the jail
            known.add(pid)
            if pid in jailed:
                self.calls.append((int(pid), name, rest))
            if name == "setresuid":
                jailed.add(pid)

    @staticmethod
    def _whole(lines: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
        """Calls that another process's line came into, put together; each stands where it began."""
        found: list[tuple[str, str, str]] = []
        begun: dict[str, int] = {}
        for pid, name, rest in lines:
            if pid in begun:
                at = begun.pop(pid)
                found[at] = (pid, name, found[at][2] + rest)
            else:
                if rest.endswith(" <unfinished ...>"):
                    begun[pid] = len(found)
                    rest = rest.removesuffix(" <unfinished ...>")
                found.append((pid, name, rest))
        return found


def test_under_strace(
    daemon: Daemon, sink: Sink, site: Site, tmp_path: Path, need_program: Callable[[str], str]
) -> None:
    trace = tmp_path / "trace"
    strace = (need_program("strace"), "-f", "-qq", "-o", str(trace), "-e", "trace=%file,%process,setresuid,open,creat")
    daemon.start(prefix=(*strace, *patched(tmp_path, BUG)))
    live_a_whole_life(daemon, site)
    calls = Trace(trace.read_text()).calls
    assert len({pid for pid, _, _ in calls}) >= 6  # the master, the log process and two generations of workers
    names = {name for _, name, _ in calls}
    assert not {name for name in names if name.startswith("exec")}
    assert not names & {"creat", "mknod", "mkdir", "rename", "link", "symlink", "unlink", "truncate", "vfork", "clone3"}
    opened = [rest for _, name, rest in calls if name in ("open", "openat", "openat2")]
    assert any('"/messagewall.conf"' in rest for rest in opened)  # the HUP's reading
    for _, name, rest in calls:
        for path in re.findall(r'"((?:[^"\\]|\\.)*)"', rest):
            if name == "chroot":  # the proof that there is no way back
                assert rest.endswith("EPERM (Operation not permitted)")
            else:
                assert named_by_the_configuration(path, site), f"{name}({rest}"
    for rest in opened:
        assert not re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND|O_TMPFILE", rest), rest


AUDIT = (
    "import os\n"
    "def hook(event, arguments):\n"
    "    watched = event in ('import', 'open', 'exec', 'glob.glob') or event.startswith(\n"
    "        ('os.', 'subprocess.', 'ctypes.dlopen', 'tempfile.', 'pathlib.'))\n"
    "    if watched and os.getuid() != 0 and event not in ('os.fork', 'os.kill'):\n"
    "        os.write(2, ('AUDIT ' + repr((event, [str(a) for a in arguments])) + '\\n').encode())\n"
    "sys.addaudithook(hook)\n"
)


def test_an_audit_hook_sees_no_import(daemon: Daemon, sink: Sink, site: Site, tmp_path: Path) -> None:
    daemon.start(prefix=patched(tmp_path, BUG + AUDIT))
    live_a_whole_life(daemon, site)
    events = [ast.literal_eval(line[6:]) for line in daemon.log().splitlines() if line.startswith("AUDIT ")]
    assert {event for event, _ in events} <= {"open", "os.scandir", "os.listdir", "os.chroot"}
    assert ("open", "/messagewall.conf") in {(event, arguments[0]) for event, arguments in events}
    for event, (path, *_) in events:
        if event != "os.chroot" and not path.isdecimal():  # a number: a descriptor, opened by the event before
            assert named_by_the_configuration(path, site), (event, path)


def test_the_time_of_day_is_the_machines_in_the_jail_too(
    daemon: Daemon, sink: Sink, site: Site, tmp_path: Path, need_program: Callable[[str], str]
) -> None:
    zone = tmp_path / "zone"  # tzfile(5): one type, 3 hours 17 minutes east
    zone.write_bytes(
        b"TZif" + bytes(16) + bytes(12) + bytes(4) + (1).to_bytes(4, "big") + (4).to_bytes(4, "big")
        + (3 * 3600 + 17 * 60).to_bytes(4, "big") + b"\0\0MWT\0"
    )  # fmt: skip
    mount = 'mount --bind "$1" "$(realpath /etc/localtime)"; shift; unset TZ; exec "$@"'
    daemon.start(prefix=(need_program("unshare"), "--mount", "/bin/sh", "-ec", mount, "sh", str(zone)))
    for _ in range(2):
        with Client(site.port) as client:
            assert client.message(MESSAGE).startswith(b"250")
    until(lambda: daemon.log().count("MESSAGE/ACCEPT") == 2, "two lines")
    assert "+0317 messagewall: {master} PROCESS/NOTICE: started" in daemon.log()
    lines = re.findall(r"^\S+T\S+?([+-]\d{4}) messagewall: .*MESSAGE/ACCEPT", daemon.log(), re.MULTILINE)
    assert lines == ["+0317", "+0317"]
    assert all(re.search(rb"Received: [^;]*;\s+.* \+0317\n", message) for message in until(sink.messages, "mail"))


# What each process is


@pytest.fixture
def dev(tmp_path: Path, need_root: None, need_program: Callable[[str], str]) -> PrivateDev:
    return PrivateDev(tmp_path / "dev", need_program("unshare"))


@pytest.fixture
def logging(daemon: Daemon, site: Site, dev: PrivateDev) -> Iterator[Callable[..., list[str]]]:
    """Starts the daemon with log_to=syslog; the lines until it has started and said `also`."""
    with dev.listen() as sock:

        def start(prefix: tuple[str, ...] = (), also: str = "") -> list[str]:
            site.write(log_to="syslog")
            command = [*dev.prefix, *prefix, *daemon.command("-f")]
            null = subprocess.DEVNULL  # a regular file, as pytest may have, would keep its size unlimited
            daemon.process = subprocess.Popen(command, cwd=PROJECT, stdin=null, stderr=null)
            lines: list[str] = []
            while not all(any(word in line for line in lines) for word in ("started:", also)):
                lines.append(sock.recv(10000).decode())
            return lines

        yield start


def status_of(process: psutil.Process) -> dict[str, str]:
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return {name: rest.strip() for name, _, rest in (line.partition(":") for line in lines)}


def limits_of(process: psutil.Process) -> dict[str, str]:
    text = Path(f"/proc/{process.pid}/limits").read_text()
    found = {}
    for name in ("core file size", "file size", "processes"):
        match = re.search(rf"^Max {name} +(\S+ +\S+)", text, re.MULTILINE)
        assert match is not None
        found[name] = " ".join(match[1].split())
    return found


def test_what_proc_says_of_each(
    daemon: Daemon, logging: Callable[..., list[str]], site: Site, dev: PrivateDev
) -> None:
    lines = logging()
    assert not [line for line in lines if "not enforced" in line]
    children = {child.cmdline()[0].split()[1]: child for child in daemon.master.children()}
    assert set(children) == {"log", "worker"}
    for process in (daemon.master, *daemon.master.children()):
        status = status_of(process)
        assert status["Uid"].split() == ["65534"] * 4
        assert status["Gid"].split() == ["65534"] * 4
        assert status["Groups"] == ""
        assert [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [0] * 4
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
        limits = limits_of(process)
        assert limits["core file size"] == "0 0"
        assert limits["file size"] == "0 0"
        if process != daemon.master:
            assert limits["processes"] == "0 0"
        of_log = process == children["log"]
        inside = os.stat(f"/proc/{process.pid}/root/")
        outside = os.stat(dev.folder if of_log else site.folder)
        assert (inside.st_dev, inside.st_ino) == (outside.st_dev, outside.st_ino)


# What the kernel refuses it

TRIES = (
    "import ctypes, errno, os, signal, socket\n"
    "def tries(log):\n"
    "    libc = ctypes.CDLL(None, use_errno=True)\n"
    "    attempts = {\n"
    "        'write': lambda: os.open('/free/file', os.O_WRONLY),\n"
    "        'append': lambda: os.open('/free/file', os.O_WRONLY | os.O_APPEND),\n"
    "        'create': lambda: os.open('/free/new', os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600),\n"
    "        'mkdir': lambda: os.mkdir('/free/folder'),\n"
    "        'unlink': lambda: os.unlink('/free/file'),\n"
    "        'run': lambda: os.execv('/free/program', ['x']),\n"
    "        'fork': lambda: os.fork() or os._exit(0),\n"
    "        'read': lambda: os.open('/messagewall.conf', os.O_RDONLY),\n"
    "        'read above': lambda: os.open('/../etc/passwd', os.O_RDONLY),\n"
    "        'chroot': lambda: os.chroot('/'),\n"
    "        'setuid': lambda: os.setuid(0),\n"
    "        'ptrace': lambda: libc.ptrace(0, 0, 0, 0),\n"
    "        'signal': lambda: os.kill(os.getppid(), signal.SIGTERM),\n"
    "        'unix': lambda: socket.socket(socket.AF_UNIX),\n"
    "    }\n"
    "    words = []\n"
    "    for name, attempt in attempts.items():\n"
    "        try:\n"
    "            if attempt() == -1 and ctypes.get_errno(): raise OSError(ctypes.get_errno(), '')\n"
    "            word = 'done'\n"
    "        except OSError as error: word = errno.errorcode[error.errno]\n"
    "        words.append('%s: %s' % (name, word))\n"
    "    log.process('NOTICE', 'tried ' + ', '.join(words))\n"  # at once: a full socket's lines would be lost
    "def first(kind, name):\n"
    "    method = getattr(kind, name)\n"
    "    def trying(self, *arguments):\n"
    "        tries(self.log if hasattr(self, 'log') else self._log)\n"
    "        return method(self, *arguments)\n"
    "    setattr(kind, name, trying)\n"
)


@pytest.fixture
def free(site: Site) -> Path:
    """A folder inside root where the mode of files refuses nothing."""
    folder = site.folder / "free"
    folder.mkdir()
    folder.chmod(0o777)
    for name in ("file", "program"):
        (folder / name).write_text("#!/no/such/interpreter\n")
        (folder / name).chmod(0o777)
    return folder


def tried(lines: str, who: str) -> dict[str, str]:
    line = re.search(re.escape(f"{{{who}}}") + " PROCESS/NOTICE: tried (.*)", lines)
    assert line is not None
    return dict(re.findall("([^:,]+): ([A-Za-z]+)", line[1].replace(", ", ",")))


def test_what_a_worker_tries_is_refused(daemon: Daemon, free: Path, tmp_path: Path) -> None:
    daemon.start(prefix=patched(tmp_path, TRIES + "from mwall.worker.worker import Worker\nfirst(Worker, 'run')"))
    words = tried(daemon.log(), "1")
    assert len(words) == 14
    assert set(words.values()) <= {"EPERM", "EACCES"}, words
    assert sorted(os.listdir(free)) == ["file", "program"]


def test_what_the_master_tries_is_refused(daemon: Daemon, free: Path, tmp_path: Path) -> None:
    """It may fork, read its files and signal its children; nothing of the rest."""
    daemon.start(
        prefix=patched(
            tmp_path,
            TRIES.replace("        'fork': lambda: os.fork() or os._exit(0),\n", "")
            .replace("        'read': lambda: os.open('/messagewall.conf', os.O_RDONLY),\n", "")
            .replace("os.getppid()", "1")
            + "from mwall.master.supervise import Master\nfirst(Master, 'run')",
        )
    )
    words = tried(daemon.log(), "master")
    assert len(words) == 12
    assert words.pop("read above") == "ENOENT"  # the chroot
    assert set(words.values()) <= {"EPERM", "EACCES"}, words
    assert sorted(os.listdir(free)) == ["file", "program"]


def test_what_the_log_process_tries_is_refused(logging: Callable[..., list[str]], tmp_path: Path) -> None:
    code = (
        TRIES.replace("/free/", "/").replace("/messagewall.conf", "/null")
        + "from mwall.master import logprocess\n"
        "fork, serve = logprocess.fork_log_process, logprocess._serve\n"
        "def serve_later(*arguments): tries(log); serve(*arguments)\n"
        "def fork_later(daemon, identity, its_log, ours):\n"
        "    global log; log = its_log; return fork(daemon, identity, its_log, ours)\n"
        "logprocess._serve = serve_later\n"
        "from mwall.master import start\n"
        "start.fork_log_process = fork_later\n"
    )
    words = tried("\n".join(logging(patched(tmp_path, code), "{log} PROCESS/NOTICE: tried")), "log")
    assert len(words) == 14
    assert set(words.values()) <= {"EPERM", "EACCES"}, words


def test_every_promise_that_stands_unenforced_is_named(
    logging: Callable[..., list[str]], tmp_path: Path
) -> None:
    without = patched(
        tmp_path,
        "from mwall.master import landlock, seccomp\n"
        "def abi(): raise OSError(38, 'Function not implemented')\n"
        "landlock.abi = abi\nseccomp.pyseccomp = None\n",
    )
    lines = logging(without)
    for who, name in (("master", "the master"), ("1", "a worker"), ("log", "the log process")):
        (line,) = [line for line in lines if f"{{{who}}} PROCESS/WARNING: not enforced: " in line]
        assert "no Landlock in this kernel (Function not implemented) and no system call filter" in line
        assert f"{name} could open files" in line
    # Said once, not by each worker.
    assert not [line for line in lines if "{2} PROCESS/WARNING" in line]
