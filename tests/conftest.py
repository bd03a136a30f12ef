"""What tests of the real daemon need from the machine: programs, and to be root.

A missing one skips the test with the reason. With MWALL_PEERS=required in the
environment, as in .ci/run, it fails instead: there nothing may go untested.
"""

import os
import shutil
from collections.abc import Callable
from typing import NoReturn

import pytest

# Debian keeps servers here, which are not on every user's PATH.
PROGRAM_FOLDERS = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def lacking(reason: str) -> NoReturn:
    """Ends the test: skipped, or failed where MWALL_PEERS=required."""
    if os.environ.get("MWALL_PEERS") == "required":
        pytest.fail(f"{reason}, and MWALL_PEERS=required", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def need_program() -> Callable[[str], str]:
    """need_program("smtp-sink") is the program's path; without it the test ends as lacking() says."""

    def path_of(name: str) -> str:
        return shutil.which(name, path=PROGRAM_FOLDERS) or lacking(f"{name} is not installed (make peers)")

    return path_of


@pytest.fixture(scope="session")
def need_root() -> None:
    """The test runs as root or ends as lacking() says."""
    if os.geteuid() != 0:
        lacking("needs root")
