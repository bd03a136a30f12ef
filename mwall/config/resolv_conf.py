"""/etc/resolv.conf (resolv.conf(5)): the name servers that the machine uses."""

from contextlib import suppress

from mwall.config.values import MAX_NAME_SERVERS, parse_nameservers

# What the C library asks where the file names none.
_DEFAULT = "127.0.0.1"


def parse_resolv_conf(text: bytes) -> str:
    """The value for the variable `nameservers`. Other lines, and servers that cannot be used, go by."""
    servers: dict[str, None] = {}
    for line in text.decode("utf-8", "replace").splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            with suppress(ValueError):
                (server,) = parse_nameservers(words[1])
                if server.port is None:
                    servers[str(server)] = None
    return " ".join(list(servers)[:MAX_NAME_SERVERS]) or _DEFAULT
