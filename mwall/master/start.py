"""From the command line to a running master. The order of the steps is the security of the whole: see start()."""

from __future__ import annotations

import os
import resource
import socket
import sys
from contextlib import suppress
from typing import NoReturn

import daemon
from setproctitle import setproctitle

from mwall.config.grammar import ConfigurationError
from mwall.config.resolv_conf import parse_resolv_conf
from mwall.config.settings import Settings
from mwall.master.confine import confine_master
from mwall.master.files import Configuration, Place, read_configuration, writable_by
from mwall.master.fork import Inheritance
from mwall.master.listening import listen
from mwall.master.logprocess import LOG_SOCKET, connect_log_daemon, fork_log_process
from mwall.master.pidfile import PidFile
from mwall.master.preload import preload
from mwall.master.privileges import Identity, StartError, enter_jail, resolve_identity
from mwall.master.status import StatusPipe
from mwall.master.supervise import Master
from mwall.shared.recipients import RefusedRecipients
from mwall.shared.table import MAX_WORKERS, Table
from mwall.worker.log import open_stderr
from mwall.worker.resolver import MAX_SOCKETS

_RESOLV_CONF = "/etc/resolv.conf"
_SPARE_DESCRIPTORS = 128  # lingering clients, the log, epoll, what the interpreter holds


def make_place(file: str, foreground: bool) -> Place:
    """Where the configuration is and what the machine says of itself."""
    file = os.path.realpath(file)
    return Place(
        file=file,
        default_root=os.path.dirname(file),
        jailed=False,
        cores=len(os.sched_getaffinity(0)),
        host_name=socket.getfqdn() if "." not in socket.gethostname() else socket.gethostname(),
        foreground=foreground,
        nameservers=_name_servers(),
    )


def _name_servers() -> str:
    """Those of the machine; it is asked once, since the file lies outside of the jail."""
    octets = b""
    with suppress(OSError), open(_RESOLV_CONF, "rb") as opened:
        octets = opened.read(65536)
    return parse_resolv_conf(octets)


def check(place: Place) -> Configuration:
    """Reads and checks everything, as root also for permissions and as the user that the daemon becomes.

    Raises ConfigurationError, StartError.
    """
    configuration = read_configuration(place)
    if os.geteuid() == 0:
        identity = resolve_identity(configuration.settings)
        _refuse_writable(configuration, place, identity)
        _read_as_user(configuration.settings, place, identity)
    return configuration


def start(place: Place, pid_path: str | None) -> int:
    """Starts the daemon; returns its exit code. Raises ConfigurationError, StartError, before the detachment only."""
    _open_standard_streams()
    configuration = read_configuration(place)
    settings = configuration.settings
    identity = None
    if os.geteuid() == 0:
        identity = resolve_identity(settings)
        _refuse_writable(configuration, place, identity)
    _raise_descriptor_limit(settings)
    pid_file = PidFile(pid_path) if pid_path else None
    listeners = listen(settings)
    preload()
    table = Table(settings.max_clients, settings.max_backends)
    # Both ways to log, for a reload may change log_to; but a daemon that does not need it lets go of its terminal.
    log_daemon = connect_log_daemon()
    if settings.log_to == "syslog" and not log_daemon.is_there:
        why = f"nobody listens at {LOG_SOCKET}: log lines are lost until a log daemon does; or set log_to=\"stderr\""
        print(f"messagewall: warning: {why}", file=sys.stderr)
    needs_stderr = place.foreground or settings.log_to == "stderr"
    stderr, log_is_regular_file = open_stderr() if needs_stderr else (-1, False)
    inheritance = Inheritance(table, RefusedRecipients(table), listeners, log_daemon, stderr, log_is_regular_file)
    kept = [*table.descriptors, *(sock.fileno() for sock in listeners), log_daemon.sock.fileno(), log_daemon.bell]
    kept += [stderr] if needs_stderr else []
    kept += [pid_file.descriptor] if pid_file else []
    if place.foreground:
        _detach(kept, detach=False)
        _be_master(place, configuration, inheritance, identity, pid_file, None)
        return os.EX_OK
    status = StatusPipe()
    child = os.fork()
    if not child:
        _detach_and_be_master(kept, status, place, configuration, inheritance, identity, pid_file)
    status.listen(child)
    return os.EX_OK


def _detach_and_be_master(
    kept: list[int],
    status: StatusPipe,
    place: Place,
    configuration: Configuration,
    inheritance: Inheritance,
    identity: Identity | None,
    pid_file: PidFile | None,
) -> NoReturn:
    """In the child that the command waits for: whatever goes wrong, the command hears of it."""
    code, word = os.EX_SOFTWARE, ""
    try:
        status.speak()
        _detach([*kept, status.descriptor], detach=True)
        _be_master(place, configuration, inheritance, identity, pid_file, status)
        code = os.EX_OK
    except StartError as error:
        code, word = error.code, str(error)
    except ConfigurationError as error:
        settings = configuration.settings
        code, word = 1, f"as the user {settings.user}, inside {settings.root}:\n{error}"
    except OSError as error:
        code, word = os.EX_OSERR, str(error)
    except Exception as error:
        word = f"our own error, please report it: {error!r}"
    finally:
        status.tell(code, word)
        os._exit(code)


def _be_master(
    place: Place,
    configuration: Configuration,
    inheritance: Inheritance,
    identity: Identity | None,
    pid_file: PidFile | None,
    status: StatusPipe | None,
) -> None:
    """From the detachment on: the process that becomes the master, until the last worker has left."""
    setproctitle("messagewall: master")
    if pid_file is not None:
        pid_file.write()
    try:
        _go_to_jail(place, configuration.settings, inheritance, identity, pid_file, status).run()
    finally:
        if pid_file is not None:
            pid_file.let_go()


def _go_to_jail(
    place: Place,
    settings: Settings,
    inheritance: Inheritance,
    identity: Identity | None,
    pid_file: PidFile | None,
    status: StatusPipe | None,
) -> Master:
    ours = [mine for mine in (pid_file, status) if mine is not None]
    log_process = fork_log_process(inheritance.log_daemon, identity, inheritance.log("log", settings), ours)
    lacks = []
    if identity is not None:
        enter_jail(settings.root, identity)
        place = place._replace(jailed=True)
    else:
        lacks.append("not started as root: no chroot, and the user's own files are within reach")
    configuration = read_configuration(place, settings.root)
    lacks += confine_master(inheritance.log_is_regular_file)
    log = inheritance.log("master", settings)
    for lack in lacks:
        log.process("WARNING", f"not enforced: {lack}")
    return Master(place, configuration, inheritance, log_process, pid_file, status)


def _refuse_writable(configuration: Configuration, place: Place, identity: Identity) -> None:
    faults = writable_by(configuration, place.file, identity.uid, identity.gid)
    if faults:
        raise ConfigurationError(faults)


def _read_as_user(settings: Settings, place: Place, identity: Identity) -> None:
    """Reads all again in a child that has become the user, inside the chroot. Raises what the child met."""
    preload()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            enter_jail(settings.root, identity)
            read_configuration(place._replace(jailed=True), settings.root)
            os._exit(0)
        except (ConfigurationError, StartError) as error:
            os.write(writing, str(error).encode("utf-8", "replace")[:65536])
        finally:
            os._exit(1)
    os.close(writing)
    with open(reading, "rb") as word:
        text = word.read().decode("utf-8", "replace")
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise StartError(1, f"as the user {settings.user}, inside {settings.root}:\n{text}")


def _raise_descriptor_limit(settings: Settings) -> None:
    """One worker may have to hold all clients and all backends, and its questions to name servers."""
    needed = settings.max_clients + settings.max_backends + MAX_WORKERS + MAX_SOCKETS + _SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    try:
        limit = needed if hard == resource.RLIM_INFINITY else max(hard, needed)
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, limit))
    except (OSError, ValueError):
        why = f"max_clients: {needed} descriptors are needed and {hard} allowed; raise ulimit -n or lower max_clients"
        raise StartError(os.EX_OSERR, why) from None


def _detach(kept: list[int], detach: bool) -> None:
    """python-daemon's part: two forks, session, umask, no core, closed descriptors. Identity and jail are ours."""
    streams = {} if detach else {"stdin": sys.stdin, "stdout": sys.stdout, "stderr": sys.stderr}
    daemon.DaemonContext(
        detach_process=detach,
        working_directory="/",
        umask=0o077,
        prevent_core=True,
        initgroups=False,
        signal_map={},
        files_preserve=list(kept),
        **streams,
    ).open()


def _open_standard_streams() -> None:
    """Started with some of them closed, our sockets would get their numbers and lose them to the detachment."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
