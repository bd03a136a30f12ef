"""The listening sockets, made as root: every worker inherits them."""

from __future__ import annotations

import errno
import os
import socket
import time

import psutil

from mwall.config.settings import Settings
from mwall.master.privileges import StartError

_BACKLOG = 4096  # the kernel caps it at net.core.somaxconn
_PATIENCE = 3.0  # seconds: a predecessor that was just told to leave closes its listener at once


def listen(settings: Settings) -> list[socket.socket]:
    """Binds every listen_ip. Raises StartError."""
    return [_listen(ip, settings.listen_port) for ip in settings.listen_ip]


def _listen(ip: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted connections inherit it
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            sock.bind((ip, port))
            sock.listen(_BACKLOG)
            sock.setblocking(False)
            return sock
        except OSError as error:
            if error.errno == errno.EADDRINUSE and time.monotonic() < until:
                time.sleep(0.05)
                continue
            raise _explain(error, ip, port) from None


def _explain(error: OSError, ip: str, port: int) -> StartError:
    if error.errno == errno.EADDRINUSE:
        return StartError(os.EX_UNAVAILABLE, f"listen_ip {ip} port {port}: taken by {_who_listens(ip, port)}")
    if error.errno == errno.EADDRNOTAVAIL:
        return StartError(os.EX_CONFIG, f"listen_ip {ip}: this machine has no such address")
    if error.errno == errno.EACCES:
        why = f"listen_ip {ip} port {port}: only root may listen there; start as root or use a port from 1024 on"
        return StartError(os.EX_NOPERM, why)
    return StartError(os.EX_OSERR, f"listen_ip {ip} port {port}: {error.strerror}")


def _who_listens(ip: str, port: int) -> str:
    """The program that has the port, as far as we may see it."""
    try:
        for connection in psutil.net_connections("tcp"):
            local = connection.laddr
            if connection.status != psutil.CONN_LISTEN or not local or not connection.pid:
                continue
            if local.port == port and local.ip in (ip, "0.0.0.0", "::"):
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid}); stop it first"
    except (psutil.Error, OSError):
        pass
    return "another program; see ss -ltnp"
