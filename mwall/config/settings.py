"""messagewall.conf: the table of its variables, their values as one frozen object, and the rules between them.

The table is what the parser, `messagewall -T`, the commented sample file and the
check of messagewall.conf(5) are made of: a variable is declared here and nowhere else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from mwall.config.grammar import ConfigurationError, Fault, Variable, parse_assignments, read_variables
from mwall.config.values import (
    Endpoint,
    duration,
    integer,
    one_of,
    parse_account,
    parse_endpoints,
    parse_flag,
    parse_host_name,
    parse_listen_addresses,
    parse_nameservers,
    parse_optional_path,
    parse_path,
    parse_profile_name,
    parse_root,
    show_duration,
    show_flag,
    show_size,
    show_words,
    size,
)

# RFC 5321 4.5.3.2.6: a client waits 10 minutes for the reply to its final dot; then it sends the message again.
CLIENT_PATIENCE_SECONDS = 600
# The shared table has 256 rows: two generations of workers, and room for those that die and are replaced.
MAX_PROCESSES = 100

_FACILITIES = ("mail", "daemon", "user", "auth", "authpriv", *(f"local{number}" for number in range(8)))


def _number(name: str, default: str, low: int, high: int, meaning: str, reload: bool = True) -> Variable:
    return Variable(name, integer(low, high), default, reload, meaning=meaning)


def _size(name: str, default: str, low: str, high: str, meaning: str, reload: bool = True) -> Variable:
    return Variable(name, size(low, high), default, reload, meaning=meaning, show=show_size)


def _time(name: str, default: str, low: str, high: str, meaning: str) -> Variable:
    return Variable(name, duration(low, high), default, meaning=meaning, show=show_duration)


# fmt: off
SETTINGS: tuple[Variable, ...] = (
    Variable(
        "listen_ip", parse_listen_addresses, None, reload=False, show=show_words, example="0.0.0.0",
        meaning="the addresses on which mail is taken, IPv4 and IPv6",
    ),
    _number("listen_port", "25", 1, 65535, "the port on which mail is taken, the same for every address", False),
    Variable(
        "backend_ip", parse_endpoints, None, show=show_words, example="127.0.0.1:2525",
        meaning="the mail servers behind: address or address:port, tried in order; the next serves while one is down",
    ),
    _number("backend_port", "25", 1, 65535, "the port of each backend that has none of its own"),
    Variable(
        "domain", parse_host_name, "", computed="the host name", example="mail.example.org",
        meaning="our name in the greeting, in headers and in EHLO to the backend",
    ),
    Variable(
        "local_domains", parse_optional_path, "local_domains",
        meaning="the file of the domains whose mail is taken from anybody",
    ),
    Variable("relay_ips", parse_optional_path, "", meaning="the file of the clients that may send anywhere"),
    Variable(
        "special_users", parse_optional_path, "",
        meaning="the file of the recipients that have a profile of their own",
    ),
    Variable("profile_dir", parse_path, "profiles", meaning="the folder of the profiles; each file in it is one"),
    Variable("default_profile", parse_profile_name, "Medium", meaning="the profile of who has none of his own"),
    Variable("relay_profile", parse_profile_name, "Relay", meaning="the profile of all mail from relay_ips"),
    Variable(
        "processes", integer(1, MAX_PROCESSES), "", computed="the smaller of cores and max_backends", example="2",
        meaning="how many workers share the work",
    ),
    _number("max_clients", "200", 1, 60000, "clients at once, all workers together; over it 421", False),
    _number("max_per_ip", "30", 1, 60000, "clients at once from one IPv4 address or IPv6 /64; relay_ips are exempt"),
    _number("max_backends", "20", 1, 10000, "connections to the backends at once, all workers together", False),
    _size("max_message_size", "50M", "64K", "1G", "the largest message; offered as SIZE, over it 552 5.3.4"),
    _size("max_memory", "512M", "64K", "1024G", "message data held at once by all workers; over it 452 4.3.1", False),
    _number("max_rcpt", "100", 100, 50000, "recipients in one transaction; over it 452 4.5.3"),
    _number("max_errors", "10", 1, 1000, "refused commands in one session before 421 and close"),
    _number("max_parts", "1000", 1, 100000, "MIME parts of a message that is looked into; over it 554 5.6.0"),
    _number("max_depth", "50", 1, 1000, "MIME parts within parts of a message that is looked into; over it 554 5.6.0"),
    _number("max_received", "100", 1, 1000, "Received fields before a message is taken for a loop, 554 5.4.6"),
    _time("backend_wait", "60", "0", "9m", "how long an accepted message may wait for a free backend connection"),
    _time("backend_connect_timeout", "10", "0.1", "5m", "for connecting to a backend and for its greeting"),
    _time("backend_timeout", "60", "0.1", "9m", "for a backend's reply to a command"),
    _time("backend_final_timeout", "480", "0.1", "599", "for a backend's reply to the final dot"),
    _time("backend_idle", "60", "0.1", "1h", "how long a backend connection is kept open unused"),
    _number("backend_max_messages", "1000", 1, 1000000, "messages after which a backend connection is renewed"),
    Variable(
        "verify_recipients", parse_flag, "1", show=show_flag,
        meaning="ask the backend at RCPT whether it wants the recipient",
    ),
    Variable(
        "bare_newline", one_of("reject", "normalize"), "reject",
        meaning="a bare CR, bare LF or NUL in a message: reject it (550 5.5.2), or normalize it",
    ),
    _time("greeting_delay", "0", "0", "1m", "the wait before the greeting; who talks first gets 554 5.5.0"),
    _time("command_timeout", "300", "0.1", "1h", "for a whole command of the client"),
    _time("data_timeout", "300", "0.1", "1h", "for silence of the client in the mail data"),
    _size("min_data_rate", "100", "0", "1G", "octets a second over the whole of DATA; slower is 421 4.4.2"),
    Variable(
        "nameservers", parse_nameservers, "", computed="those of /etc/resolv.conf", show=show_words,
        example="127.0.0.1", meaning="the name servers that are asked: address or address:port, each a full resolver",
    ),
    _time("dns_timeout", "5", "0.1", "1m", "for a name server's answer, before the next one is asked"),
    _time("check_timeout", "30", "0", "5m", "how long a complete message may wait for all its look-ups together"),
    _time("drain_timeout", "10m", "0", "24h", "how long sessions of a draining worker may go on"),
    Variable(
        "log_to", one_of("stderr", "syslog"), "", computed="stderr with -f, else syslog", example="syslog",
        meaning="where the log goes: stderr or syslog",
    ),
    Variable("log_format", one_of("text", "json"), "text", meaning="how a log line is written: text or json"),
    Variable("syslog_facility", one_of(*_FACILITIES), "mail", meaning="the facility of the lines sent to syslog"),
    Variable(
        "root", parse_root, "", reload=False, computed="the folder of messagewall.conf", example="/etc/messagewall",
        meaning="the folder in which the daemon locks itself; messagewall.conf and all it names lie in it",
    ),
    Variable("user", parse_account, "mwall", reload=False, meaning="the user that the daemon becomes once started"),
    Variable("group", parse_account, "mwall", reload=False, meaning="the group that the daemon becomes once started"),
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Settings:
    """What messagewall.conf says, with defaults filled in. Sizes are octets, times are seconds, paths inside root."""

    listen_ip: tuple[str, ...]
    listen_port: int
    backend_ip: tuple[Endpoint, ...]
    backend_port: int
    domain: str
    local_domains: str
    relay_ips: str
    special_users: str
    profile_dir: str
    default_profile: str
    relay_profile: str
    processes: int
    max_clients: int
    max_per_ip: int
    max_backends: int
    max_message_size: int
    max_memory: int
    max_rcpt: int
    max_errors: int
    max_parts: int
    max_depth: int
    max_received: int
    backend_wait: float
    backend_connect_timeout: float
    backend_timeout: float
    backend_final_timeout: float
    backend_idle: float
    backend_max_messages: int
    verify_recipients: bool
    bare_newline: str
    greeting_delay: float
    command_timeout: float
    data_timeout: float
    min_data_rate: int
    nameservers: tuple[Endpoint, ...]
    dns_timeout: float
    check_timeout: float
    drain_timeout: float
    log_to: str
    log_format: str
    syslog_facility: str
    root: str
    user: str
    group: str

    @property
    def backends(self) -> tuple[tuple[str, int], ...]:
        """Address and port of each backend, in the order in which they are tried."""
        return _backends(self.backend_ip, self.backend_port)

    def named_paths(self) -> dict[str, str]:
        """The map files to read: variable -> path inside root. What is not set is left out."""
        paths = {name: getattr(self, name) for name in ("local_domains", "relay_ips", "special_users")}
        return {name: path for name, path in paths.items() if path}


def parse_settings(
    text: bytes, file: str, *, cores: int, host_name: str, foreground: bool, default_root: str, nameservers: str
) -> Settings:
    """The settings of messagewall.conf. Raises ConfigurationError with all its faults.

    `cores`, `host_name`, `foreground`, `nameservers` and `default_root` (the folder of the file, from / on) make the
    defaults that no table can hold. That the file lies in `root` the caller has to see to: symbolic links are his to
    follow.
    """
    faults: list[Fault] = []
    assignments = parse_assignments(text, file, faults)
    if faults and not assignments:
        # Of a file that is no text at all nothing else is worth saying.
        raise ConfigurationError(faults)
    values = read_variables(SETTINGS, assignments, file, faults)
    defaults = {"domain": host_name, "root": default_root, "log_to": "stderr" if foreground else "syslog"}
    defaults["nameservers"] = nameservers
    _fill_in(values, defaults, cores, file, faults)
    lines = {assignment.name: assignment.line for assignment in reversed(assignments)}
    for names, check in _RULES:
        if values.keys() >= set(names):
            why = check(*(values[name] for name in names))
            if why:
                # The fault stands where the last of them was written: that line broke the rule.
                line, name = max((lines.get(name, 0), name) for name in names)
                faults.append(Fault(file, line, name if line else names[0], why))
    if faults:
        raise ConfigurationError(sorted(faults, key=lambda fault: fault.line or len(text) + 2))
    return Settings(**values)


def broken_rules(settings: Settings) -> list[str]:
    """What is wrong between variables that are each right: for settings that were put together from two files."""
    return [why for names, check in _RULES if (why := check(*(getattr(settings, name) for name in names)))]


def _fill_in(values: dict[str, Any], defaults: Mapping[str, str], cores: int, file: str, faults: list[Fault]) -> None:
    """Put the computed defaults where nothing was set."""
    for variable in SETTINGS:
        name = variable.name
        if name not in defaults or values.get(name, "") is not None:
            continue
        try:
            values[name] = variable.parse(defaults[name])
        except ValueError as error:
            del values[name]
            why = f'its default is {variable.computed}, but {error}; add {name}="{variable.example}"'
            faults.append(Fault(file, 0, name, why))
    if values.get("processes", 0) is None:
        values["processes"] = max(1, min(cores, values.get("max_backends", 1), MAX_PROCESSES))


def _check_patience(check_timeout: float, backend_wait: float, backend_final_timeout: float) -> str:
    seconds = check_timeout + backend_wait + backend_final_timeout
    if seconds < CLIENT_PATIENCE_SECONDS:
        return ""
    return (
        f"check_timeout, backend_wait and backend_final_timeout make {show_duration(seconds)} together; they must stay "
        "under 10m, when a client gives up waiting for the reply to its message and sends it again"
    )


def _check_processes(processes: int, max_backends: int) -> str:
    if processes <= max_backends:
        return ""
    return f"{processes} processes cannot share {max_backends} max_backends; raise max_backends or lower processes"


def _check_memory(max_message_size: int, max_memory: int) -> str:
    if max_message_size <= max_memory:
        return ""
    largest, memory = show_size(max_message_size), show_size(max_memory)
    return f"a message of max_message_size {largest} can never fit into max_memory {memory}; raise max_memory"


def _check_repeats(backend_ip: tuple[Endpoint, ...], backend_port: int) -> str:
    backends = _backends(backend_ip, backend_port)
    for number, backend in enumerate(backends):
        if backend in backends[:number]:
            return f"{backend[0]} port {backend[1]} is in backend_ip twice; write it once"
    return ""


def _check_circles(
    listen_ip: tuple[str, ...], listen_port: int, backend_ip: tuple[Endpoint, ...], backend_port: int
) -> str:
    for address, port in _backends(backend_ip, backend_port):
        # Only what is certain: whether another address is this machine's the files do not say.
        wildcard = ("0.0.0.0" if ip_address(address).version == 4 else "::") if ip_address(address).is_loopback else ""
        if port == listen_port and (address in listen_ip or wildcard in listen_ip):
            return (
                f"the backend {address} port {port} is where we listen ourselves (listen_ip, listen_port): "
                "mail would go in circles; give the mail server another port or address"
            )
    return ""


def _check_somebody_served(local_domains: str, relay_ips: str) -> str:
    if local_domains or relay_ips:
        return ""
    return "local_domains and relay_ips are both empty: all mail would be refused; name a file in one of them"


_RULES: tuple[tuple[tuple[str, ...], Callable[..., str]], ...] = (
    (("check_timeout", "backend_wait", "backend_final_timeout"), _check_patience),
    (("processes", "max_backends"), _check_processes),
    (("max_message_size", "max_memory"), _check_memory),
    (("backend_ip", "backend_port"), _check_repeats),
    (("listen_ip", "listen_port", "backend_ip", "backend_port"), _check_circles),
    (("local_domains", "relay_ips"), _check_somebody_served),
)


def _backends(backend_ip: tuple[Endpoint, ...], backend_port: int) -> tuple[tuple[str, int], ...]:
    return tuple((address, backend_port if port is None else port) for address, port in backend_ip)


def describe(settings: Settings) -> list[tuple[str, str]]:
    """Every variable and its value in the file's own syntax, in the table's order, for `messagewall -T`."""
    return [(variable.name, variable.show(getattr(settings, variable.name))) for variable in SETTINGS]


def unchangeable(old: Settings, new: Settings) -> list[str]:
    """The variables that differ though a HUP cannot change them: they need a restart."""
    return [
        variable.name
        for variable in SETTINGS
        if not variable.reload and getattr(old, variable.name) != getattr(new, variable.name)
    ]
