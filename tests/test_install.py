"""`make install` and `make uninstall`: what lands where, and that nothing stays but what an admin has changed.

Installs into a folder of its own (DESTDIR) from a copy of the tree. Building the wheels uses the network.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

TREE = Path(__file__).parent.parent
PATHS = ["PREFIX=/opt/mw", "SYSCONFDIR=/opt/etc"]
COMMANDS = ["messagewall", "messagewalltest"]
MANUALS = [
    "man1/messagewall.1",
    "man1/messagewalltest.1",
    "man5/messagewall.conf.5",
    "man5/messagewall_profiles.5",
]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, need_program: Callable[[str], str]) -> Callable[..., str]:
    """make(target, setting...) in a built copy of the tree; returns what it printed."""
    program = need_program("make")
    copy = tmp_path_factory.mktemp("tree") / "messagewall"
    left_out = shutil.ignore_patterns(".git", ".venv", "build", "*.egg-info", ".*_cache", "__pycache__", ".hypothesis")
    shutil.copytree(TREE, copy, ignore=left_out)

    def run(target: str, *settings: str) -> str:
        command = [program, "--no-print-directory", target, *PATHS, *settings]
        done = subprocess.run(command, cwd=copy, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, done.stdout
        return done.stdout

    run("build")
    return run


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "package"


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def test_installed_files_name_their_final_paths(make: Callable[..., str], destination: Path) -> None:
    make("install", f"DESTDIR={destination}")

    installed = destination / "opt/mw"
    for command in COMMANDS:
        assert os.readlink(installed / "sbin" / command) == f"/opt/mw/lib/messagewall/bin/{command}"
        assert "/opt/mw/lib/messagewall/bin/python" in (installed / "lib/messagewall/bin" / command).read_text()
    assert all((installed / "share/man" / manual).is_file() for manual in MANUALS)
    unit = (installed / "share/messagewall/messagewall.service").read_text()
    assert "ExecStart=/opt/mw/sbin/messagewall -c /opt/etc/messagewall/messagewall.conf -f\n" in unit
    assert os.access(installed / "share/messagewall/messagewall.init", os.X_OK)
    samples = files_below(TREE / "conf")
    assert {"messagewall.conf", "virus.patterns", "profiles/Medium", "profiles/MediumPlus"} <= samples
    assert samples == files_below(destination / "opt/etc/messagewall")
    octets = str(destination).encode()
    assert [path for path in destination.rglob("*") if path.is_file() and octets in path.read_bytes()] == []


def test_uninstall_takes_all_of_it_away(make: Callable[..., str], destination: Path) -> None:
    (destination / "opt").mkdir(parents=True)
    make("install", f"DESTDIR={destination}")
    make("install", f"DESTDIR={destination}")
    make("uninstall", f"DESTDIR={destination}")
    assert list(destination.rglob("*")) == [destination / "opt"]


def test_a_changed_configuration_is_kept_and_named(make: Callable[..., str], destination: Path) -> None:
    make("install", f"DESTDIR={destination}")
    changed = destination / "opt/etc/messagewall/messagewall.conf"
    changed.write_text("mine\n")
    added = destination / "opt/etc/messagewall/profiles/Mine"
    added.write_text('reject="1"\n')

    assert "kept as it was: /opt/etc/messagewall/messagewall.conf;" in make("install", f"DESTDIR={destination}")
    assert changed.read_text() == "mine\n"

    said = make("uninstall", f"DESTDIR={destination}")
    assert "  /opt/etc/messagewall/messagewall.conf\n" in said
    assert "  /opt/etc/messagewall/profiles/Mine\n" in said
    assert files_below(destination) == {str(path.relative_to(destination)) for path in (changed, added)}


def test_an_untouched_file_follows_the_new_sample(make: Callable[..., str], destination: Path) -> None:
    make("install", f"DESTDIR={destination}")
    old = "as an older version had it\n"
    current = destination / "opt/etc/messagewall/messagewall.conf"
    for path in (current, destination / "opt/mw/share/messagewall/conf/messagewall.conf"):
        path.write_text(old)
    make("install", f"DESTDIR={destination}")
    assert current.read_text() != old
