"""The master: forks workers by generations, replaces the dead and the stuck, obeys signals.

The rules:
- Handlers only note a signal and wake the loop; all work is done in the loop.
- A HUP reads every file anew; only if all is right a new generation is forked,
  and only once all of it accepts the old one drains. One draining generation at
  most: further HUPs wait for its end and count as one.
- A dead worker is replaced at once; one that dies before it was ready is backed off.
"""

from __future__ import annotations

import dataclasses
import os
import select
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from types import FrameType

from setproctitle import setproctitle

from mwall.config.grammar import ConfigurationError
from mwall.config.settings import broken_rules, unchangeable
from mwall.master.files import Configuration, Place, concerns, read_configuration
from mwall.master.fork import Closable, Inheritance, WorkerProcess, fork_worker
from mwall.master.pidfile import PidFile
from mwall.master.privileges import StartError
from mwall.master.status import StatusPipe
from mwall.shared.health import Backend
from mwall.shared.table import MAX_BACKEND_ADDRESSES, MAX_WORKERS, MAX_ZONES
from mwall.worker.worker import DRAIN, QUIT

_TICK = 1.0  # seconds
_STUCK = 30.0  # seconds without a tick: a worker's longest honest step is a tenth of one
_BACK_OFF_MOST = 1.0  # seconds
_YOUNG_DEATHS = 5  # in a row before a generation is given up
_QUIT_PATIENCE = 5.0  # seconds from the order to leave to the kill
_SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGCHLD)


class Generation:
    """The workers of one configuration."""

    def __init__(
        self, configuration: Configuration, backends: tuple[Backend, ...], zones: Mapping[str, int]
    ) -> None:
        self.configuration = configuration
        self.backends = backends
        self.zones = zones  # the number of each list that a profile asks, in the shared table
        self.workers: dict[int, WorkerProcess] = {}  # by pid
        self.young_deaths = 0
        self.fork_again_at: list[tuple[float, int]] = []  # (monotonic seconds, index) of workers that died young
        self.kill_at = float("inf")

    @property
    def is_ready(self) -> bool:
        """Whether every worker of it accepts."""
        processes = self.configuration.settings.processes
        return len(self.workers) == processes and all(worker.ready for worker in self.workers.values())


class Master:
    """Supervises. `status` is told when the first generation accepts."""

    def __init__(
        self,
        place: Place,
        configuration: Configuration,
        inheritance: Inheritance,
        log_process: int,
        pid_file: PidFile | None,
        status: StatusPipe | None,
    ) -> None:
        self._place = place
        self._inheritance = inheritance
        self._log = inheritance.log("master", configuration.settings)
        self._log_process = log_process
        self._pid_file = pid_file
        self._status = status
        self._started = False
        self._backend_rows: dict[tuple[str, int], int] = {}
        self._coming: Generation | None = None
        self._draining: Generation | None = None
        self._zone_numbers: dict[str, int] = {}
        self._current = self._new_generation(configuration)
        self._reload_wanted = False
        self._stopping = False
        self._noted: set[int] = set()
        self._ears, self._bell = socket.socketpair()

    def run(self) -> None:
        """Returns when the last worker has left. Raises StartError if the first generation never got ready."""
        self._ears.setblocking(False)
        self._bell.setblocking(False)
        signal.set_wakeup_fd(self._bell.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, self._note)
        try:
            self._fork_generation(self._current)
            while self._has_workers() or not self._stopping:
                self._wait()
                self._obey()
                self._reap()
                self._tend()
        except StartError:
            raise
        except Exception:
            self._log.bug()  # the command that would have heard of it has long gone
            raise
        finally:
            if self._log_process:
                with suppress(OSError):
                    os.kill(self._log_process, signal.SIGKILL)
        if not self._started:
            raise StartError(os.EX_UNAVAILABLE, "told to leave before the workers were ready")

    # The loop

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._noted.add(number)

    def _wait(self) -> None:
        waiting = select.poll()
        waiting.register(self._ears, select.POLLIN)
        controls = {}
        for worker in self._all_workers():
            if not worker.ready:
                waiting.register(worker.control, select.POLLIN)
                controls[worker.control.fileno()] = worker
        for descriptor, _ in waiting.poll(self._patience() * 1000):
            if descriptor in controls:
                controls[descriptor].hear()
            else:
                with suppress(BlockingIOError):
                    self._ears.recv(4096)

    def _patience(self) -> float:
        now = time.monotonic()
        due = [when for generation in self._generations() for when, _ in generation.fork_again_at]
        return max(0.0, min([_TICK, *(when - now for when in due)]))

    def _obey(self) -> None:
        noted, self._noted = self._noted, set()
        if signal.SIGUSR1 in noted:
            table = self._inheritance.table
            self._log.write("", "", "COUNTERS", "INFO", table.totals())
            for zone, number in sorted(self._zone_numbers.items()):
                self._log.write("", "", "COUNTERS", "INFO", {"zone": zone, **table.zone_totals(number)})
        if signal.SIGINT in noted or signal.SIGQUIT in noted:
            self._stop(QUIT, _QUIT_PATIENCE)
        elif signal.SIGTERM in noted and not self._stopping:
            self._stop(DRAIN, self._current.configuration.settings.drain_timeout + _QUIT_PATIENCE)
        elif signal.SIGHUP in noted:
            self._reload_wanted = True

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._log_process:
                self._log_process = 0
                text = "the log process has died: once the log daemon is restarted, lines are lost until we are too"
                self._log.process("ERROR", text)
            for generation in self._generations():
                worker = generation.workers.pop(pid, None)
                if worker is not None:
                    self._bury(generation, worker, os.waitstatus_to_exitcode(status))

    def _tend(self) -> None:
        now = time.monotonic()
        for generation in self._generations():
            due = [index for when, index in generation.fork_again_at if when <= now]
            generation.fork_again_at = [(when, index) for when, index in generation.fork_again_at if when > now]
            for index in due:
                self._fork(generation, index)
            for worker in generation.workers.values():
                if now >= generation.kill_at or now - self._inheritance.table.worker_tick[worker.row] > _STUCK:
                    if now < generation.kill_at:
                        self._log.process("ERROR", f"worker {worker.row + 1} stands still: killed, to be replaced")
                    os.kill(worker.pid, signal.SIGKILL)
        if not self._started and not self._stopping and self._current.is_ready:
            self._started = True
            if self._status is not None:
                self._status.tell(os.EX_OK, "")
            self._announce("started")
        if self._coming is not None and self._coming.is_ready:
            self._change_over()
        if self._draining is not None and not self._draining.workers:
            self._draining = None
        if self._reload_wanted and not self._stopping and self._coming is None and self._draining is None:
            self._reload_wanted = False
            self._reload()
        setproctitle("messagewall: master" + (", draining" if self._stopping else ""))

    # Workers

    def _generations(self) -> list[Generation]:
        return [generation for generation in (self._current, self._coming, self._draining) if generation is not None]

    def _all_workers(self) -> list[WorkerProcess]:
        return [worker for generation in self._generations() for worker in generation.workers.values()]

    def _has_workers(self) -> bool:
        return any(generation.workers for generation in self._generations())

    def _fork_generation(self, generation: Generation) -> None:
        for index in range(generation.configuration.settings.processes):
            self._fork(generation, index)

    def _fork(self, generation: Generation, index: int) -> None:
        others = self._all_workers()
        used = {worker.row for worker in others}
        row = next(row for row in range(MAX_WORKERS) if row not in used)
        to_close: list[Closable] = [self._ears, self._bell, *(worker.control for worker in others)]
        to_close += [ours for ours in (self._pid_file, self._status) if ours is not None]
        worker = fork_worker(
            self._inheritance, generation.configuration, generation.backends, generation.zones, row, index, to_close,
            tell_lacks=not self._started and index == 0,
        )  # fmt: skip
        generation.workers[worker.pid] = worker

    def _bury(self, generation: Generation, worker: WorkerProcess, code: int) -> None:
        """A worker has died: what it held is free, and it is replaced where it should still live."""
        worker.hear()
        worker.control.close()
        table = self._inheritance.table
        table.clear_row(worker.row)
        waiter = table.longest_waiter(-1)
        if waiter is not None:
            table.wake(waiter)
        if self._stopping or generation is self._draining:
            if code:
                self._log.process("ERROR", f"worker {worker.row + 1} ended {_how(code)} while it drained")
            return
        self._log.process("ERROR", f"worker {worker.row + 1} ended {_how(code)}: replaced")
        if worker.ready:
            generation.young_deaths = 0
            self._fork(generation, worker.index)
            return
        generation.young_deaths += 1
        if generation.young_deaths >= _YOUNG_DEATHS and generation is not self._current:
            self._give_up_coming()
        elif generation.young_deaths >= _YOUNG_DEATHS and not self._started:
            self._tell_all(QUIT)
            raise StartError(os.EX_SOFTWARE, f"workers end at once, the last {_how(code)}; the log says more")
        else:
            pause = min(_BACK_OFF_MOST, 0.05 * 2**generation.young_deaths)
            generation.fork_again_at.append((time.monotonic() + pause, worker.index))

    # Reload

    def _reload(self) -> None:
        old = self._current.configuration.settings
        try:
            configuration = read_configuration(self._place, old.root)
        except ConfigurationError as error:
            for fault in error.faults:
                self._log.process("ERROR", str(fault))
            faults = "1 fault" if len(error.faults) == 1 else f"{len(error.faults)} faults"
            self._log.process("ERROR", f"reload: {faults}; the configuration in force stays")
            return
        fixed = unchangeable(old, configuration.settings)
        if configuration.settings.log_to == "stderr" and self._inheritance.stderr < 0:
            fixed.append("log_to")
        if fixed:
            names = ", ".join(fixed)
            self._log.process("WARNING", f"reload: {names} changed in the file, which needs a restart; not in force")
            kept = {name: getattr(old, name) for name in fixed}
            configuration = configuration._replace(settings=dataclasses.replace(configuration.settings, **kept))
            broken = broken_rules(configuration.settings)
            if broken:
                self._log.process("ERROR", f"reload: it takes a restart: {'; '.join(broken)}; nothing is changed")
                return
        self._coming = self._new_generation(configuration, *self._generations())
        self._fork_generation(self._coming)

    def _change_over(self) -> None:
        """The new generation accepts: the old one drains."""
        assert self._coming is not None
        self._draining, self._current, self._coming = self._current, self._coming, None
        settings = self._current.configuration.settings
        self._log = self._inheritance.log("master", settings)
        self._draining.kill_at = time.monotonic() + (
            self._draining.configuration.settings.drain_timeout + _QUIT_PATIENCE
        )
        self._draining.fork_again_at.clear()
        for worker in self._draining.workers.values():
            worker.tell(DRAIN)
        self._announce("reloaded")

    def _give_up_coming(self) -> None:
        assert self._coming is not None
        self._log.process("ERROR", "reload: the new workers end at once; the configuration in force stays")
        self._coming.kill_at = 0.0
        self._coming.fork_again_at.clear()
        self._draining, self._coming = self._coming, None

    def _new_generation(self, configuration: Configuration, *living: Generation) -> Generation:
        rows = self._give_rows(configuration, list(living))
        return Generation(configuration, rows, self._number_zones(configuration, list(living)))

    def _number_zones(self, configuration: Configuration, living: list[Generation]) -> dict[str, int]:
        """Each list keeps its number as long as a profile of a living generation asks it."""
        wanted = configuration.policy.zones
        live = {zone for generation in living for zone in generation.zones}
        self._zone_numbers = {
            zone: number for zone, number in self._zone_numbers.items() if zone in live or zone in wanted
        }
        for zone in wanted:
            if zone not in self._zone_numbers:
                used = set(self._zone_numbers.values())
                number = next(number for number in range(MAX_ZONES) if number not in used)
                self._inheritance.table.forget_zone(number)
                self._zone_numbers[zone] = number
        return {zone: self._zone_numbers[zone] for zone in wanted}

    def _give_rows(self, configuration: Configuration, living: list[Generation]) -> tuple[Backend, ...]:
        """Each backend address keeps its row of the table as long as a living generation uses it."""
        wanted = configuration.settings.backends
        live = {(backend.ip, backend.port) for generation in living for backend in generation.backends}
        self._backend_rows = {key: row for key, row in self._backend_rows.items() if key in live or key in wanted}
        for key in wanted:
            if key not in self._backend_rows:
                used = set(self._backend_rows.values())
                row = next(row for row in range(MAX_BACKEND_ADDRESSES) if row not in used)
                self._inheritance.table.forget_backend(row)
                self._backend_rows[key] = row
        return tuple(Backend(ip, port, self._backend_rows[ip, port]) for ip, port in wanted)

    # The end

    def _stop(self, order: bytes, patience: float) -> None:
        """The listener closes first, everywhere at once: a new daemon can bind while this one drains."""
        self._log.process("NOTICE", "draining, then leaving" if order == DRAIN else "leaving now")
        self._stopping = True
        for sock in self._inheritance.listeners:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self._tell_all(order)
        if self._pid_file is not None:
            self._pid_file.let_go()
        for generation in self._generations():
            generation.fork_again_at.clear()
            generation.kill_at = min(generation.kill_at, time.monotonic() + patience)

    def _tell_all(self, order: bytes) -> None:
        for worker in self._all_workers():
            worker.tell(order)

    def _announce(self, what: str) -> None:
        settings = self._current.configuration.settings
        addresses = ", ".join(f"[{ip}]" if ":" in ip else ip for ip in settings.listen_ip)
        backends = ", ".join(map(str, self._current.backends))
        text = f"{what}: {settings.processes} workers, {addresses} port {settings.listen_port} to {backends}"
        self._log.process("NOTICE", text)
        for concern in concerns(self._current.configuration):
            self._log.process("WARNING", concern)


def _how(code: int) -> str:
    return f"by signal {-code}" if code < 0 else f"with exit code {code}"
