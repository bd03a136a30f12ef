"""A system log of the test's own: /dev/log in a mount namespace that only the daemon under test lives in.

The folder that is /dev there can be seen from outside as well, so the log daemon
runs as it is and has its socket there. The machine's own /dev/log is left alone.
"""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from tests.conftest import lacking
from tests.daemon.harness import until

_NODES = ("null", "zero", "full", "random", "urandom", "tty")
_MOUNT = """
dev=$1; shift
for node in {nodes}; do mount --bind /dev/$node $dev/$node; done
mount --rbind $dev /dev
exec "$@"
"""


class PrivateDev:
    """A folder that is /dev for whatever runs under `prefix`."""

    def __init__(self, folder: Path, unshare: str) -> None:
        self.folder = folder
        folder.mkdir()
        folder.chmod(0o755)
        for node in _NODES:
            (folder / node).touch()
        script = _MOUNT.format(nodes=" ".join(_NODES))
        self.prefix = (unshare, "--mount", "/bin/sh", "-ec", script, "sh", str(folder))
        if subprocess.run([*self.prefix, "true"], capture_output=True).returncode:
            lacking("needs mount namespaces")

    @property
    def log(self) -> Path:
        """What is /dev/log there."""
        return self.folder / "log"

    def listen(self) -> socket.socket:
        """A plain socket in place of a log daemon."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.bind(str(self.log))
        self.log.chmod(0o666)
        sock.settimeout(20)
        return sock


class Rsyslog:
    """rsyslogd with a configuration of its own, writing what it gets to a file."""

    def __init__(self, program: str, dev: PrivateDev, folder: Path) -> None:
        self._dev = dev
        self._folder = folder
        self.file = folder / "messages"
        configuration = folder / "rsyslog.conf"
        configuration.write_text(
            f'global(workDirectory="{folder}")\n'
            'module(load="imuxsock" SysSock.Use="off")\n'
            f'input(type="imuxsock" Socket="{dev.log}" RateLimit.Interval="0")\n'
            'template(name="plain" type="string" string="%syslogfacility-text%.%syslogseverity-text% %rawmsg%\\n")\n'
            f'action(type="omfile" file="{self.file}" template="plain")\n'
        )
        self._command = [program, "-n", "-f", str(configuration), "-i", str(folder / "rsyslog.pid")]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and waits until it listens."""
        before = self._dev.log.stat().st_ino if self._dev.log.exists() else 0
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, cwd=self._folder)
        until(lambda: self._dev.log.exists() and self._dev.log.stat().st_ino != before, "rsyslogd")

    def kill(self) -> None:
        """As a crash or an upgrade would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._dev.log.unlink(missing_ok=True)

    def lines(self) -> list[str]:
        """What it has written."""
        return self.file.read_text("utf-8", "replace").splitlines() if self.file.exists() else []
