"""Workers killed, configurations reloaded, backends ended and started again, all under load: nothing is lost.

MWALL_MESSAGES is how many messages each storm has: few by default, 20,000 for a full run. With -s the figures of
each storm are shown.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.daemon.harness import MESSAGE, Client, Daemon, Sink, Site, until
from tests.daemon.retrying_client import RetryingClient

MESSAGES = int(os.environ.get("MWALL_MESSAGES", "2000"))
PATIENCE = 60 + MESSAGES / 20  # seconds for a storm
WORKERS, MAX_CLIENTS, MAX_BACKENDS = 2, 40, 5


class CountingBackend:
    """counting_backend.py as a process of its own, which can be killed and started again."""

    def __init__(self, port: int, record: Path, delay: float = 0.0) -> None:
        self.port = port
        self.record = record
        self.delay = delay
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        """Starts it and does not wait until it listens."""
        script = Path(__file__).with_name("counting_backend.py")
        command = [sys.executable, str(script), str(self.port), str(self.record), str(self.delay)]
        self.process = subprocess.Popen(command)

    def start(self) -> None:
        """Starts it."""
        self.launch()
        until(self.listens, "the counting backend")

    def listens(self) -> bool:
        """Whether it accepts; asked without a connection, which would be counted."""
        listening = f"0100007F:{self.port:04X} 00000000:0000 0A"
        return listening in Path("/proc/net/tcp").read_text("ascii")

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def copies(self) -> Counter[int]:
        """How many copies it has of each message."""
        lines = self.record.read_text("ascii").splitlines() if self.record.exists() else []
        return Counter(int(line.split()[0]) for line in lines if line[0].isdigit())

    def most_connections(self) -> int:
        """The most connections that were open at once since its last start."""
        return int(self.record.read_text("ascii").splitlines()[-1].split()[2])

    def accepted(self) -> int:
        """How many connections there were since its last start."""
        return int(self.record.read_text("ascii").splitlines()[-1].split()[3])


@pytest.fixture
def make_backend(site: Site) -> Iterator[Callable[..., CountingBackend]]:
    """make_backend(port, delay) is a counting backend that runs."""
    made: list[CountingBackend] = []

    def make(port: int = site.backend_port, delay: float = 0.0) -> CountingBackend:
        backend = CountingBackend(port, site.folder.parent / f"{site.folder.name}-{port}.record", delay)
        made.append(backend)
        backend.start()
        return backend

    yield make
    for backend in made:
        backend.kill()


@pytest.fixture
def backend(make_backend: Callable[..., CountingBackend]) -> CountingBackend:
    """A counting backend where the site expects one."""
    return make_backend()


class Storm:
    """What can befall the daemon, and what is watched meanwhile."""

    def __init__(self, daemon: Daemon, seed: int = 1) -> None:
        self.daemon = daemon
        self.master = daemon.master.pid
        self.random = random.Random(seed)
        self.kills = self.hups = 0
        self.most_workers = 0
        self.longest_gap = 0.0  # seconds with fewer workers than there should be
        self._short_since = 0.0

    def workers(self) -> list[int]:
        """The living workers: all children but the log process. One just forked has no title of its own yet."""
        found = []
        for pid in Path(f"/proc/{self.master}/task/{self.master}/children").read_text("ascii").split():
            with suppress(OSError):
                is_zombie = " Z " in Path(f"/proc/{pid}/stat").read_text("ascii")[:60]
                if not is_zombie and not Path(f"/proc/{pid}/cmdline").read_text().startswith("messagewall: log"):
                    found.append(int(pid))
        return found

    def watch(self) -> None:
        """Counts the workers."""
        now = time.monotonic()
        living = len(self.workers())
        self.most_workers = max(self.most_workers, living)
        if living >= WORKERS:
            self._short_since = 0.0
        else:
            self._short_since = self._short_since or now
            self.longest_gap = max(self.longest_gap, now - self._short_since)

    def kill(self) -> None:
        """SIGKILL for a worker."""
        self.watch()
        workers = self.workers()
        if workers:
            with suppress(ProcessLookupError):
                os.kill(self.random.choice(workers), signal.SIGKILL)
                self.kills += 1
        self.watch()

    def hup(self) -> None:
        """SIGHUP for the master."""
        os.kill(self.master, signal.SIGHUP)
        self.hups += 1


@pytest.fixture
def client(site: Site) -> RetryingClient:
    """MESSAGES messages to be sent."""
    return RetryingClient(site.port, MESSAGES)


def start(site: Site, daemon: Daemon, **settings: object) -> Storm:
    site.write(**{"processes": WORKERS, "max_clients": MAX_CLIENTS, "max_backends": MAX_BACKENDS, **settings})
    daemon.start()
    return Storm(daemon)


def show(name: str, client: RetryingClient, copies: Counter[int], storm: Storm | None = None) -> None:
    """The figures of a storm, for who runs the tests with -s."""
    doubled = sum(copies.values()) - len(copies)
    befell = f", {storm.kills} kills, {storm.hups} HUPs, gap {storm.longest_gap:.2f} s" if storm else ""
    print(
        f"\n{name}: {len(client.got_250)} times 250, {len(copies)} messages in {sum(copies.values())} copies, "
        f"{doubled} doubled{befell}, {client.seconds:.1f} s, {len(client.got_250) / client.seconds:.0f}/s; "
        f"longest reply {client.longest_reply:.2f} s; {dict(client.ends)} {dict(client.replies)}"
    )


def assert_nothing_lost(client: RetryingClient, copies: Counter[int]) -> None:
    assert len(client.got_250) == MESSAGES
    assert client.got_250 - copies.keys() == set()
    assert not [reply for reply in client.replies if reply.startswith(b"5")]
    assert not [end for end in client.ends if end.startswith("silent")], client.ends


def assert_all_places_free(site: Site, storm: Storm) -> None:
    """Every seat and every slot can be taken again, and not one more; and no error of ours was logged."""
    assert "bug, please report it" not in storm.daemon.log()
    until(lambda: len(storm.workers()) == WORKERS, "the number of workers")
    held = MESSAGE.replace(b"\r\n\r\n", b"\r\nX-Hold: %d\r\n\r\n" % MAX_BACKENDS, 1)
    clients = []
    try:
        for _ in range(MAX_BACKENDS):
            clients.append(Client(site.port))
            client = clients[-1]
            client.ask(b"EHLO x", b"MAIL FROM:<a@example.org>", b"RCPT TO:<b@example.org>", b"DATA")
            client.send(held + b".\r\n")
        for client in clients:
            assert client.reply().startswith(b"250 ")
        while len(clients) < MAX_CLIENTS:
            clients.append(Client(site.port, f"127.0.1.{len(clients) % 8 + 1}"))
            assert clients[-1].greeting.startswith(b"220 "), clients[-1].greeting
        with Client(site.port) as surplus:
            assert surplus.greeting.startswith(b"421 4.3.2 "), surplus.greeting
    finally:
        for client in clients:
            client.close()


def test_kill_storm(site: Site, backend: CountingBackend, daemon: Daemon, client: RetryingClient) -> None:
    storm = start(site, daemon)
    client.every(0.04, storm.kill)
    client.every(0.005, storm.watch)
    client.run(PATIENCE)
    copies = backend.copies()
    show("kills", client, copies, storm)
    print(f"most connections at once: {backend.most_connections()}")
    assert_nothing_lost(client, copies)
    for message, count in copies.items():
        assert count <= 1 + client.unanswered[message], "doubled though each try behind its dot had its reply"
    assert storm.longest_gap < 1.0
    assert_all_places_free(site, storm)


def test_all_workers_killed_at_once_are_back_within_a_second(
    site: Site, backend: CountingBackend, daemon: Daemon
) -> None:
    storm = start(site, daemon)
    for pid in storm.workers():
        os.kill(pid, signal.SIGKILL)
    begin = time.monotonic()
    with Client(site.port) as client:
        assert client.message(MESSAGE).startswith(b"250 ")
    assert time.monotonic() - begin < 1.0
    assert_all_places_free(site, storm)


def test_backends_end_and_come_back(
    site: Site, make_backend: Callable[..., CountingBackend], free_port: Callable[[], int], daemon: Daemon,
    client: RetryingClient,
) -> None:  # fmt: skip
    backends = [make_backend(), make_backend(free_port())]
    storm = start(site, daemon, backend_ip=" ".join(f"127.0.0.1:{backend.port}" for backend in backends))
    deaths_at = [MESSAGES // 4, MESSAGES // 2, MESSAGES * 3 // 4]  # 250s
    waits: list[float] = []  # seconds from the backends' return to the next 250
    away = returned = 0.0
    seen = 0

    def befall() -> None:
        nonlocal away, returned, seen
        if returned and len(client.got_250) > seen:
            waits.append(time.monotonic() - returned)
            returned = 0.0
        elif away and count_away(client) > seen:
            for backend in backends:
                backend.launch()
            until(lambda: all(backend.listens() for backend in backends), "the backends")
            away, returned, seen = 0.0, time.monotonic(), len(client.got_250)
        elif not away and not returned and len(deaths_at) and len(client.got_250) >= deaths_at[0]:
            deaths_at.pop(0)
            for backend in backends:
                backend.kill()
            away, seen = time.monotonic(), count_away(client)

    client.every(0.005, befall)
    client.run(PATIENCE)
    copies = backends[0].copies() + backends[1].copies()
    show(f"backends, flows again after {', '.join(f'{wait:.2f}' for wait in waits)} s", client, copies)
    assert_nothing_lost(client, copies)
    assert len(waits) == 3
    assert max(waits) < 2.0, "back-off begins with half a second, and is far from its longest here"
    doubled = sum(copies.values()) - len(copies)
    assert doubled <= daemon.log().count("possible duplicate")
    assert daemon.process is not None and daemon.process.poll() is None
    until(lambda: daemon.log().count("answers again"), "the word that they answer again")
    assert_all_places_free(site, storm)


def count_away(client: RetryingClient) -> int:
    return sum(count for reply, count in client.replies.items() if b"away" in reply)


def test_hup_storm(site: Site, backend: CountingBackend, daemon: Daemon, client: RetryingClient) -> None:
    storm = start(site, daemon)
    client.every(0.1, storm.hup)
    client.every(0.005, storm.watch)
    client.run(PATIENCE)
    copies = backend.copies()
    show("HUPs", client, copies, storm)
    assert_nothing_lost(client, copies)
    assert set(copies.values()) == {1}
    assert set(client.ends) <= {"quit", "done", "421"}, client.ends
    assert all(reply.startswith(b"421 4.3.2 ") for reply in client.replies), client.replies
    assert storm.longest_gap < 0.5  # what /proc lists while processes come and go may lack one for a moment
    assert storm.most_workers <= 2 * WORKERS
    assert backend.most_connections() <= MAX_BACKENDS
    assert client.longest_reply < 2.0
    assert_all_places_free(site, storm)


def test_kills_and_hups_and_dying_backends_together(
    site: Site, backend: CountingBackend, daemon: Daemon, client: RetryingClient
) -> None:
    storm = start(site, daemon)
    client.every(0.04, storm.kill)
    client.every(0.1, storm.hup)
    client.every(0.005, storm.watch)

    def restart_backend() -> None:
        backend.kill()
        backend.launch()

    client.every(1.5, restart_backend)
    client.run(2 * PATIENCE)
    copies = backend.copies()
    show("kills, HUPs, backends", client, copies, storm)
    assert_nothing_lost(client, copies)
    for message, count in copies.items():
        assert count <= 1 + client.unanswered[message] + client.temporary[message]
    assert storm.most_workers <= 2 * WORKERS
    assert storm.longest_gap < 1.2
    until(backend.listens, "the backend")
    storm.hup()
    until(lambda: len(storm.workers()) == WORKERS, "the number of workers")
    until(lambda: delivers(site), "mail to flow")
    assert_all_places_free(site, storm)


def delivers(site: Site) -> bool:
    with Client(site.port) as client:
        return client.greeting.startswith(b"220") and client.message(MESSAGE).startswith(b"250 ")


def test_a_broken_file_changes_nothing(site: Site, backend: CountingBackend, daemon: Daemon) -> None:
    storm = start(site, daemon)
    before = storm.workers()
    good = site.file.read_text()
    site.file.write_text(good + 'max_rcpt="many"\n')
    storm.hup()
    line = len(good.splitlines()) + 1
    daemon.logged(rf"{re.escape(str(site.file))}:{line}: max_rcpt: ")
    daemon.logged("reload: 1 faults?; the configuration in force stays")
    assert storm.workers() == before
    assert delivers(site)


def test_a_changed_file_comes_into_force(site: Site, backend: CountingBackend, daemon: Daemon) -> None:
    storm = start(site, daemon, max_message_size="1M")
    with Client(site.port) as old:
        assert b"SIZE 1048576\r\n" in old.ask(b"EHLO x")
        site.put("local_domains", "example.org\nexample.net\n")
        site.write(max_message_size="2M", max_clients=MAX_CLIENTS + 7)
        storm.hup()
        daemon.logged("max_clients changed in the file, which needs a restart")
        daemon.logged("reloaded: ")
        with Client(site.port) as new:
            assert b"SIZE 2097152\r\n" in new.ask(b"EHLO x")
            assert new.message(MESSAGE, b"b@example.net", ehlo=False).startswith(b"250 ")
        assert old.reply().startswith(b"421 4.3.2 ")
    until(lambda: len(storm.workers()) == WORKERS, "the old workers to leave")
    assert_all_places_free(site, storm)


def test_further_hups_wait_for_a_transaction_and_count_as_one(
    site: Site, backend: CountingBackend, daemon: Daemon
) -> None:
    storm = start(site, daemon)
    with Client(site.port) as slow:
        envelope = (b"EHLO x", b"MAIL FROM:<a@example.org>", b"RCPT TO:<b@example.org>", b"DATA")
        assert slow.ask(*envelope).startswith(b"354 ")
        storm.hup()
        daemon.logged("reloaded: ")
        until(lambda: len(storm.workers()) == WORKERS + 1, "the idle one of the old workers to leave")
        for _ in range(5):
            storm.hup()
            assert delivers(site)
        assert len(storm.workers()) == WORKERS + 1
        assert daemon.log().count("reloaded: ") == 1
        slow.send(MESSAGE + b".\r\n")
        assert slow.reply().startswith(b"250 ")
        assert slow.reply().startswith(b"421 4.3.2 ")
    until(lambda: daemon.log().count("reloaded: ") == 2, "the reload that has waited")
    until(lambda: len(storm.workers()) == WORKERS, "the old workers to leave")
    assert delivers(site)
    assert daemon.log().count("reloaded: ") == 2


@pytest.mark.parametrize("slots", [2, 3])
def test_few_slots_are_shared_fairly(
    site: Site, make_backend: Callable[..., CountingBackend], daemon: Daemon, slots: int
) -> None:
    backend = make_backend(delay=0.005)
    start(site, daemon, max_backends=slots, backend_wait=5)
    client = RetryingClient(site.port, MESSAGES // 4, sessions=24)
    client.run(PATIENCE)
    copies = backend.copies()
    show(f"{slots} slots", client, copies)
    print(f"longest wait for the final reply {client.longest_final:.2f} s, {backend.accepted()} connections")
    assert set(copies.values()) == {1} and len(copies) == MESSAGES // 4
    assert backend.most_connections() <= slots
    assert set(client.ends) <= {"quit", "done"}
    # 24 sessions on `slots` connections of 5 ms each: a turn takes 24 / slots * 5 ms where it is fair.
    assert client.longest_final < 1.0


@pytest.mark.parametrize("octets", [1024, 10240])
def test_smtp_source(
    site: Site, sink: Sink, daemon: Daemon, need_program: Callable[[str], str], octets: int
) -> None:
    start(site, daemon, max_backends=20)
    program = need_program("smtp-source")
    command = [program, "-s", "20", "-m", str(MESSAGES), "-l", str(octets), "-f", "a@example.org",
               "-t", "b@example.org", f"127.0.0.1:{site.port}"]  # fmt: skip
    begin = time.monotonic()
    subprocess.run(command, check=True, timeout=PATIENCE)
    print(f"\nsmtp-source: {MESSAGES} of {octets} octets in {time.monotonic() - begin:.1f} s")
    assert len(list(sink.folder.iterdir())) == MESSAGES
    shutil.rmtree(sink.folder)
