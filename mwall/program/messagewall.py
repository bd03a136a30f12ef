"""messagewall(1): the command that checks the configuration and starts the daemon."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

from mwall.config.grammar import ConfigurationError
from mwall.config.settings import describe
from mwall.master.files import concerns
from mwall.master.privileges import StartError
from mwall.master.start import check, make_place, start

CONFIGURATION = "/etc/messagewall/messagewall.conf"
_PID_FILE = "/run/messagewall.pid"
USAGE = 2


class Parser(argparse.ArgumentParser):
    """Ends with USAGE, which is not of sysexits.h: 2, as commands commonly do."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(prog="messagewall", description="A filtering SMTP proxy.", allow_abbrev=False)
    parser.add_argument("-c", metavar="FILE", dest="file", default=CONFIGURATION, help=f"default {CONFIGURATION}")
    parser.add_argument("-f", dest="foreground", action="store_true", help="stay in the foreground, log to stderr")
    parser.add_argument("-t", dest="test", action="store_true", help="check the configuration and all files it names")
    parser.add_argument("-T", dest="show", action="store_true", help="the same, then print what is in force")
    parser.add_argument("-p", metavar="FILE", dest="pid_file", help=f"default {_PID_FILE} for root without -f")
    parser.add_argument("-V", dest="version", action="store_true", help="print the version")
    return parser.parse_args(arguments)


def _print_version() -> None:
    try:
        print(f"messagewall {version('messagewall')}")
    except PackageNotFoundError:
        print("messagewall (not installed)")


def main() -> int:
    """Exit codes: 0 done, 1 bad configuration, 2 usage, else of sysexits.h."""
    options = _parse(sys.argv[1:])
    if options.version:
        _print_version()
        return os.EX_OK
    pid_file = options.pid_file
    if pid_file is None and not options.foreground and os.geteuid() == 0:
        pid_file = _PID_FILE
    try:
        place = make_place(options.file, options.foreground)
        if options.test or options.show:
            configuration = check(place)
            for concern in concerns(configuration):
                print(f"messagewall: warning: {concern}", file=sys.stderr)
            if options.show:
                for name, value in describe(configuration.settings):
                    print(f'{name}="{value}"')
            return os.EX_OK
        return start(place, os.path.abspath(pid_file) if pid_file else None)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 1
    except StartError as error:
        print(f"messagewall: {error}", file=sys.stderr)
        return error.code
    except OSError as error:
        print(f"messagewall: {error}", file=sys.stderr)
        return os.EX_OSERR
    except Exception:
        traceback.print_exc()
        print("messagewall: our own error, please report it", file=sys.stderr)
        return os.EX_SOFTWARE


if __name__ == "__main__":
    sys.exit(main())
