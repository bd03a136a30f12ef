"""rspamd as the filter to compare with: its scanner alone, with the rules of the profile Medium, and a client for it.

rspamd stands in no SMTP conversation: a mail server asks it about each message. So it is asked by its own protocol,
and its CPU seconds are those of the filter alone; those of the mail server before it come on top.

The same: MIME, base64 and quoted-printable decoded, HTML to text; Medium's header and body keys and expressions (by
Hyperscan, as rspamd does), its MIME types, its file names by rspamd's own module, which looks into archives' lists as
well; EICAR in every decoded part. Left out: how the message is addressed. All else of rspamd is off: no network, no
redis, no statistics, no guess at the language.
"""

import subprocess
import sys
import threading
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from harness import HOST, PROJECT, DidNotStart, cpu_seconds, free_port, stop, tool
from load import Load, LoadRun

sys.path.insert(0, str(PROJECT))

from mwall.config.grammar import parse_assignments

NAME = "rspamd"
_SHARE = Path("/usr/share/rspamd")
_PROCESSES = 2
_KEYS = ("header_reject", "header_rejecti", "header_regex", "body_reject", "body_rejecti", "body_regex")
_START_SECONDS = 40.0

_CONFIGURATION = """
options {{
  filters = "regexp"; url_tld = "{share}/effective_tld_names.dat"; pidfile = "{run}/rspamd.pid";
  tempdir = "{run}"; hs_cache_dir = "{run}"; control_socket = "{run}/control.sock"; history_rows = 1;
  dns {{ nameserver = ["127.0.0.1:9"]; }}
  disable_monitoring = true; check_all_filters = true; local_addrs = [];
}}
logging {{ type = "file"; filename = "{run}/log"; level = "notice"; }}
worker "normal" {{ bind_socket = "{host}:{port}"; count = {processes}; }}
lua = "{work}/rules.lua";
modules {{ path = "{share}/plugins/mime_types.lua"; }}
lang_detection {{ languages = "{work}/languages"; }}
mime_types {{
  file = "/etc/rspamd/maps.d/mime_types.inc";
  extension_map = {{ html = "text/html"; txt = "text/plain"; pdf = "application/pdf"; png = "image/png"; }}
  bad_extensions = {{ {extensions} }}
  bad_archive_extensions = {{ {extensions} }}
}}
actions {{ reject = 3; }}
"""

_RULES = r"""
config['regexp'] = {}
local function rule(name, expression, weight)
  config['regexp'][name] = { re = expression, score = weight, group = 'medium' }
end
%s
local trie = require "rspamd_trie"
local eicar = trie.create({"X5O!P%%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"})
local types = { %s }
rspamd_config:register_symbol{ name = "PARTS", score = 10, callback = function(task)
  for _, part in ipairs(task:get_parts() or {}) do
    local kind, subkind = part:get_type()
    if kind and types[kind .. '/' .. (subkind or '')] then return true end
    local content = part:get_content()
    local found = content and eicar:match(content)
    if found == true or (type(found) == 'table' and next(found)) then return true end
  end
  return false
end }
"""


def _escaped(key: str) -> str:
    return "".join(character if character.isalnum() else f"\\x{ord(character):02x}" for character in key)


def _expression(name: str, value: str) -> str:
    """The key or expression of one variable in rspamd's notation."""
    if name.startswith("header"):
        field, _, sought = value.partition(":")
        place = f"{field}="
        kind = "{header}"
    else:
        place, sought, kind = "", value, "{mime}"
    flags = "i" if name.endswith("i") or "(?i)" in sought else ""
    sought = sought.replace("(?i)", "").replace("/", "\\/") if name.endswith("regex") else _escaped(sought)
    return f"{place}/{sought}/{flags}{kind}"


def _rules(profile: str) -> tuple[str, str]:
    """Of that profile: the Lua file of rules, and the list of extensions."""
    path = PROJECT / "conf" / "profiles" / profile
    rules, extensions, types = [], [], []
    for number, assignment in enumerate(parse_assignments(path.read_bytes(), profile, [])):
        score, _, value = assignment.value.partition(",")
        if assignment.name in _KEYS:
            rules.append(f"rule('R{number}', [==[{_expression(assignment.name, value)}]==], {score})")
        elif assignment.name == "filename_reject" and value.startswith("*."):
            extensions.append(f'"{value[2:]}" = {score};')
        elif assignment.name == "mime_reject":
            types.append(f'["{value}"] = true,')
    return _RULES % ("\n".join(rules), " ".join(types)), " ".join(extensions)


def _written(profile: str, work: Path, port: int) -> Path:
    """rspamd's files below `work`, with the rules of that profile; its configuration."""
    rules, extensions = _rules(profile)
    (work / "rules.lua").write_text(rules)
    run = work / "run"
    run.mkdir()
    run.chmod(0o777)
    (work / "languages").mkdir()
    (work / "languages" / "stop_words").write_text("{}")
    values = {"share": _SHARE, "run": run, "work": work, "host": HOST, "port": port, "processes": _PROCESSES}
    configuration = work / "rspamd.conf"
    configuration.write_text(_CONFIGURATION.format(**values, extensions=extensions))
    return configuration


def _ask(port: int, message: bytes) -> str:
    """What rspamd says of a message, JSON; '' where it does not answer."""
    connection = HTTPConnection(HOST, port, timeout=30)
    try:
        headers = {"From": "a@example.org", "Rcpt": "b@example.org", "IP": "192.0.2.7", "Helo": "client.example"}
        connection.request("POST", "/checkv2", body=message, headers=headers)
        answer = connection.getresponse()
        return answer.read().decode() if answer.status == 200 else ""
    except (OSError, HTTPException):
        return ""
    finally:
        connection.close()


class Rspamd:
    """rspamd in the foreground, as nobody. Raises DidNotStart, also where it is not installed."""

    def __init__(self, base: Path, profile: str) -> None:
        self.name = NAME
        work = base / NAME
        work.mkdir()
        work.chmod(0o755)
        self._port = free_port()
        configuration = _written(profile, work, self._port)
        command = [tool(NAME), "-f", "-c", str(configuration), "-u", "nobody", "-g", "nogroup"]
        with (work / "output").open("wb") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        end = time.monotonic() + _START_SECONDS
        while not self._answers_right():
            if time.monotonic() > end or self._process.poll() is not None:
                self.stop()
                raise DidNotStart(f"rspamd: {(work / 'output').read_text(errors='replace')[-800:]}")
            time.sleep(0.3)
        while not any((work / "run").glob("*.hs")) and time.monotonic() < end:
            time.sleep(0.3)
        time.sleep(2.0)  # its helper tells the workers of the compiled expressions

    def _answers_right(self) -> bool:
        """Whether the rules are in force: junk is found to be that."""
        return '"action":"reject"' in _ask(self._port, _JUNK)

    def stop(self) -> None:
        """Ends it and its workers."""
        stop(self._process)

    def run(self, case: str, load: Load, messages: int, number: int) -> LoadRun:
        """One load, as load.run_load() does it for a mail server."""
        assert load.file is not None
        message = load.file.read_bytes().replace(b"\n", b"\r\n")
        begun, cpu = time.perf_counter(), cpu_seconds(self._process.pid)
        answers = _ask_often(self._port, message, messages, load.sessions)
        seconds = time.perf_counter() - begun
        good = sum('"action":"no action"' in answer for answer in answers)
        return LoadRun(
            case=case,
            peer=self.name,
            round=number,
            sent=messages,
            arrived=good,
            per_second=good / seconds,
            cpu=(cpu_seconds(self._process.pid) - cpu) / max(good, 1) * 1000,
            sink_cpu=float("nan"),
            failure="" if good == messages else f"{messages - good} not answered or called junk",
        )


def _ask_often(port: int, message: bytes, times: int, at_once: int) -> list[str]:
    answers: list[str] = []
    numbers = iter(range(times))

    def work() -> None:
        for _ in numbers:  # a range's iterator is safe to share between threads
            answers.append(_ask(port, message))

    threads = [threading.Thread(target=work) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


_JUNK = b"""From: a@example.org\r
To: b@example.org\r
Subject: 100% free\r
Date: Mon, 1 Jan 2024 00:00:00 +0000\r
Message-Id: <1@example.org>\r
MIME-Version: 1.0\r
Content-Type: text/plain\r
\r
This is not spam. Viagra, no prescription.\r
"""
