"""The real daemon in a real chroot, and real peers around it, each on ports of its own and ended by pid."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon.front import PATIENT, Front
from tests.daemon.harness import Daemon, Sink, Site
from tests.daemon.scripted_backend import ScriptedBackend

_PORTS = itertools.count(20000 + os.getpid() % 500 * 20)


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A port that no other test of this run uses."""
    return lambda: next(_PORTS)


@pytest.fixture(scope="session")
def new_site(
    need_root: None, tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Callable[[], Site]:
    """new_site() is another folder that can be the daemon's root: configuration, profiles, maps."""

    def make() -> Site:
        folder = tmp_path_factory.mktemp("site")
        for parent in (folder, *folder.parents):
            if parent != Path("/tmp") and parent.is_relative_to("/tmp"):
                parent.chmod(0o755)
        return Site(folder, free_port(), free_port())

    return make


@pytest.fixture
def site(new_site: Callable[[], Site]) -> Site:
    """A site of the test's own. Edit before daemon.start()."""
    return new_site()


@pytest.fixture
def sink(site: Site, need_program: Callable[[str], str]) -> Iterator[Sink]:
    """smtp-sink as the backend, which keeps every message in a folder."""
    with Sink(need_program("smtp-sink"), site.backend_port, site.folder.parent / f"{site.folder.name}-mail") as running:
        yield running


@pytest.fixture
def daemon(site: Site) -> Iterator[Daemon]:
    """The daemon in the foreground, its log in a file; daemon.start() starts it."""
    running = Daemon(site)
    yield running
    running.end()


@pytest.fixture(scope="module")
def shared_front(new_site: Callable[[], Site]) -> Iterator[Front]:
    """The daemon of front(), one for each file."""
    site = new_site()
    site.write(processes=1, max_backends=6, **PATIENT)
    daemon = Daemon(site)
    with ScriptedBackend(site.backend_port, receive_octets=65536) as backend:
        daemon.start()
        try:
            yield Front(site, backend, daemon)
        finally:
            daemon.end()


@pytest.fixture
def front(shared_front: Front) -> Front:
    """One worker, one backend that behaves until the test says otherwise; shared, as no fault may outlast its test."""
    shared_front.backend.reset()
    return shared_front


@pytest.fixture
def backend(site: Site) -> Iterator[ScriptedBackend]:
    """A backend of the test's own, for a daemon of its own."""
    with ScriptedBackend(site.backend_port) as running:
        yield running
