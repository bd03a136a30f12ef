"""messagewall.conf: the table, the sample file and Settings say the same; what parse_settings makes of any file."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.config.grammar import ConfigurationError
from mwall.config.settings import SETTINGS, Settings, describe, parse_settings, unchangeable

SAMPLE = (Path(__file__).parent.parent.parent / "conf" / "messagewall.conf").read_text()
ASSIGNMENT = re.compile(r'^(#?)([a-z_]+)="(.*)"$', re.MULTILINE)
LEAST = 'listen_ip="0.0.0.0"\nbackend_ip="127.0.0.1:2525"\n'


def settings_of(text: str | bytes, **environment: Any) -> Settings:
    given_environment = {"cores": 4, "host_name": "mx.example.org", "foreground": False, "default_root": "/etc/mw",
                         "nameservers": "127.0.0.1"}
    octets = text.encode() if isinstance(text, str) else text
    return parse_settings(octets, "x", **(given_environment | environment))


def faults_of(text: str | bytes, **environment: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        settings_of(text, **environment)
    return str(raised.value).splitlines()


def test_the_sample_parses_as_it_is_and_says_nothing_but_defaults() -> None:
    assert settings_of(SAMPLE) == settings_of(LEAST)


def test_the_sample_has_every_variable_once_and_no_other() -> None:
    assert sorted(name for _, name, _ in ASSIGNMENT.findall(SAMPLE)) == sorted(v.name for v in SETTINGS)


@pytest.mark.parametrize("variable", SETTINGS, ids=lambda variable: variable.name)
def test_the_sample_shows_the_default(variable: Any) -> None:
    [(comment, value)] = [(c, value) for c, name, value in ASSIGNMENT.findall(SAMPLE) if name == variable.name]
    if variable.default is None:
        assert (comment, value) == ("", variable.example)
    elif variable.computed:
        assert (comment, value) == ("#", variable.example)
        above = SAMPLE[: SAMPLE.index(f'#{variable.name}="')].rsplit("\n\n", 1)[1]
        assert f"Default: {variable.computed}." in above
    else:
        assert (comment, value) == ("#", variable.default)


@pytest.mark.parametrize("variable", SETTINGS, ids=lambda variable: variable.name)
def test_the_sample_marks_what_needs_a_restart(variable: Any) -> None:
    block = next(block for block in SAMPLE.split("\n\n") if re.search(rf'^#?{variable.name}="', block, re.MULTILINE))
    assert ("(restart)" in block) is not variable.reload


def test_the_sample_with_all_defaults_taken_in_parses_to_the_same() -> None:
    text = ASSIGNMENT.sub(r'\2="\3"', SAMPLE)
    settings = settings_of(text, cores=2, host_name="mail.example.org", default_root="/etc/messagewall")
    assert settings == settings_of(LEAST, cores=2, host_name="mail.example.org", default_root="/etc/messagewall")


def test_settings_has_an_attribute_for_each_variable_in_the_same_order() -> None:
    assert [field.name for field in dataclasses.fields(Settings)] == [variable.name for variable in SETTINGS]


@pytest.mark.parametrize("variable", SETTINGS, ids=lambda variable: variable.name)
def test_each_variable_says_what_it_is(variable: Any) -> None:
    assert variable.meaning and variable.meaning.isascii() and len(variable.meaning) < 110
    texts = {variable.example, "" if variable.computed else variable.default} - {"", None}
    for text in texts:
        value = variable.parse(text)
        assert variable.parse(variable.show(value)) == value


def test_types() -> None:
    settings = settings_of(LEAST + 'backend_wait="1.5s"\nmax_memory="1G"\nverify_recipients="0"\n')
    kinds = {str: str, int: int, float: float, bool: bool}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        assert type(value) is kinds.get(field.type, tuple), field.name  # type: ignore[call-overload]
    assert settings.backend_wait == 1.5
    assert settings.max_memory == 1 << 30
    assert settings.verify_recipients is False


def test_computed_defaults() -> None:
    settings = settings_of(LEAST)
    assert (settings.processes, settings.domain, settings.root) == (4, "mx.example.org", "/etc/mw")
    assert settings.log_to == "syslog"
    assert settings_of(LEAST, foreground=True).log_to == "stderr"
    assert settings_of(LEAST + "max_backends=3").processes == 3
    assert settings_of(LEAST, cores=0).processes == 1
    assert settings_of(LEAST + "max_backends=500", cores=1000).processes == 100
    assert settings_of(LEAST + "domain=a.example", host_name="").domain == "a.example"


def test_a_computed_default_that_cannot_be_used_says_what_to_add() -> None:
    assert faults_of(LEAST, host_name="my_host") == [
        'x: domain: its default is the host name, but "my_host" is no host name; write this machine\'s full name, '
        'as mail.example.org; add domain="mail.example.org"'
    ]
    assert len(faults_of(LEAST, default_root="/")) == 1


def test_a_rule_between_variables_is_not_judged_by_a_value_at_fault() -> None:
    assert faults_of(LEAST + 'processes="30"\nmax_backends="x"\n') == [
        'x:4: max_backends: "x" is no whole number from 1 to 10000'
    ]


def test_backends() -> None:
    text = 'listen_ip="::"\nbackend_ip="192.0.2.1 [::1]:26 2001:db8::1"\nbackend_port="27"\n'
    assert settings_of(text).backends == (("192.0.2.1", 27), ("::1", 26), ("2001:db8::1", 27))


def test_a_backend_on_our_port_is_no_circle_where_it_may_be_another_machine() -> None:
    assert settings_of('listen_ip="0.0.0.0"\nbackend_ip="192.0.2.1"\n').backends == (("192.0.2.1", 25),)
    assert settings_of('listen_ip="::"\nbackend_ip="127.0.0.1"\n').backends == (("127.0.0.1", 25),)


def test_named_paths() -> None:
    assert settings_of(LEAST).named_paths() == {"local_domains": "local_domains"}
    text = LEAST + "local_domains=\nrelay_ips=./maps/relay\nspecial_users=s\n"
    assert settings_of(text).named_paths() == {"relay_ips": "maps/relay", "special_users": "s"}


def test_unchangeable() -> None:
    old = settings_of(LEAST)
    assert unchangeable(old, settings_of(LEAST + "max_rcpt=200\nlog_to=stderr\nprocesses=1\n")) == []
    new = settings_of(LEAST.replace("0.0.0.0", "192.0.2.1") + "max_clients=7\nuser=other\nmax_rcpt=101")
    assert unchangeable(old, new) == ["listen_ip", "max_clients", "user"]


def written(settings: Settings) -> str:
    return "".join(f'{name}="{value}"\n' for name, value in describe(settings))


def test_what_is_described_parses_to_the_same() -> None:
    settings = settings_of(LEAST + 'backend_wait="0.5m"\nmax_message_size="70000"\nlocal_domains="a "b" c"\n')
    assert [name for name, _ in describe(settings)] == [variable.name for variable in SETTINGS]
    assert dict(describe(settings))["max_memory"] == "512M"
    assert dict(describe(settings))["drain_timeout"] == "10m"
    assert settings_of(written(settings), cores=1, host_name="", foreground=True, default_root="") == settings


NAMES = st.sampled_from([variable.name for variable in SETTINGS])
TEXTS = st.sampled_from(["", "0", "1", "64K", "1G", "9m", "599", "24h", "::1", "1.2.3.4:25", "a/b", "json", "root"])
LINES = st.one_of(
    st.builds(lambda name, value: f'{name}="{value}"'.encode(), NAMES, TEXTS | st.text(max_size=20)),
    st.binary(max_size=30),
)


@given(st.booleans(), st.lists(LINES, max_size=12))
def test_any_file_gives_settings_or_faults(startable: bool, lines: list[bytes]) -> None:
    text = b"\n".join([LEAST.encode(), *lines] if startable else lines)
    try:
        settings = settings_of(text)
    except ConfigurationError as error:
        assert error.faults
        for fault in error.faults:
            assert str(fault).isascii() and str(fault).isprintable() and len(str(fault)) < 500
            assert 0 <= fault.line <= text.count(b"\n") + 1
    else:
        assert settings_of(written(settings)) == settings
