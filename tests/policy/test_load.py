"""The policy made of all files, and whose mail it takes by which profile."""

import pytest

from mwall.config.grammar import ConfigurationError
from mwall.config.settings import Settings, parse_settings
from mwall.policy.load import Policy, load_policy
from mwall.policy.routing import is_local, profile_for
from mwall.smtp.addresses import Mailbox, parse_path

PROFILES = {f"profiles/{name}": b'reject="0"' for name in ("Medium", "Relay", "Light", "Strong")}
MAPS = {
    "local_domains": b"example.net\n.example.org\n[192.0.2.1]\n",
    "relays": b"192.0.2.0/24\n",
    "users": b'joe@example.net="Light"\n.example.org="Strong"\n',
}


def settings(more: str = "") -> Settings:
    text = f'listen_ip="127.0.0.1"\nbackend_ip="127.0.0.2"\nrelay_ips="relays"\nspecial_users="users"\n{more}'
    return parse_settings(
        text.encode(), "m.conf", cores=2, host_name="mx.example.net", foreground=True, default_root="/etc/messagewall",
        nameservers="127.0.0.1",
    )  # fmt: skip


def mailbox(address: str) -> Mailbox:
    found, _ = parse_path(f"<{address}>")
    assert found is not None
    return found


def policy() -> Policy:
    return load_policy(settings(), MAPS, PROFILES, {})


@pytest.mark.parametrize(
    ("address", "relay", "name"),
    [
        ("joe@example.net", False, "Light"),
        ("Joe+detail@example.net", False, "Light"),
        ("jane@example.net", False, "Medium"),
        ("jane@a.b.example.org", False, "Strong"),
        ("postmaster", False, "Medium"),
        ("joe@example.net", True, "Relay"),
        ("who@example.com", True, "Relay"),
    ],
)
def test_profile_for(address: str, relay: bool, name: str) -> None:
    assert profile_for(policy(), mailbox(address), relay).name == name


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("joe@example.net", True),
        ("joe@EXAMPLE.net", True),
        ("joe@a.example.org", True),
        ("joe@example.org", False),
        ("joe@example.com", False),
        ("Postmaster", True),
        ("joe@[192.0.2.1]", True),
        ("joe@[192.0.2.2]", False),
    ],
)
def test_is_local(address: str, local: bool) -> None:
    assert is_local(policy(), mailbox(address)) is local


def test_all_faults_of_all_files_at_once() -> None:
    maps = {"local_domains": b"exa mple\n", "relays": b"192.0.2.1/24\n", "users": b'joe@example.net="Lihgt"\n'}
    profiles = {"profiles/Light": b"# nothing\n", "profiles/.Light.swp": b"\0", "profiles/Medium": b'rejct="0"\n'}
    with pytest.raises(ConfigurationError) as raised:
        load_policy(settings(), maps, profiles, {})
    found = [str(fault) for fault in raised.value.faults]
    for beginning in (
        'profiles/.Light.swp: ".Light.swp" can be no profile\'s name',
        "profiles/Light: sets no variable",
        "profiles/Medium:1: rejct: there is no such variable",
        "local_domains:1: ",
        "relays:1: ",
        'users:1: joe@example.net: no profile is named "Lihgt"; did you mean Light?',
        'profiles: relay_profile: no profile is named "Relay"',
    ):
        assert [fault.startswith(beginning) for fault in found].count(True) == 1, beginning
    assert len(found) == 7


def test_a_file_that_could_not_be_read_is_no_fault_here() -> None:
    assert len(load_policy(settings(), {}, PROFILES, {}).local_domains) == 0
