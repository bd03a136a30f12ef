"""The command as an admin types it, without -f, and ways to start it with something changed inside or around."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from tests.daemon.harness import PROJECT, Daemon, Site, until


def lives(pid: int) -> bool:
    """Whether the process runs. A zombie has ended, though nobody may reap it here."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def patched(folder: Path, code: str) -> tuple[str, ...]:
    """A prefix for the command: runs it in a Python where `code` has changed something first."""
    script = folder / f"patched-{len(list(folder.glob('patched-*')))}.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(PROJECT)!r})\nimport mwall.program.messagewall as command\n"
        f"{code}\n"
        "sys.argv = ['messagewall', *sys.argv[4:]]\nsys.exit(command.main())\n"
    )
    script.chmod(0o755)
    return (sys.executable, str(script))


def _await_end(pid: int) -> None:
    until(lambda: not lives(pid), f"the end of {pid}")


class Detached(Daemon):
    """The daemon in the background, its pid file beside its root; it logs to the command's stderr, a file."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.pid_file = site.folder.parent / f"{site.folder.name}.pid"
        if site.settings.get("log_to") is None:
            site.write(log_to="stderr")
        self.known: list[int] = []

    def open(self, *options: str, prefix: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """Types the command and does not wait."""
        with self.log_file.open("ab") as log:
            return subprocess.Popen(
                [*prefix, *self.command("-p", str(self.pid_file), *options)],
                cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def launch(self, *options: str, prefix: tuple[str, ...] = ()) -> int:
        """Types the command and gives its exit code."""
        code = self.open(*options, prefix=prefix).wait(60)
        if code == 0:
            self.known.append(self.pid)
        return code

    @property
    def pid(self) -> int:
        """The number in the pid file, 0 if it is empty or missing."""
        return int(self.pid_file.read_text() or 0) if self.pid_file.exists() else 0

    @property
    def master(self) -> psutil.Process:
        """Its master process."""
        return psutil.Process(self.pid)

    def end(self) -> None:
        """Ends every daemon that it started."""
        for pid in {*self.known, self.pid} - {0}:
            if lives(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGQUIT)
                _await_end(pid)
