"""All that Python would load later, loaded now: in the chroot there is nothing to load it from.

Codecs, the time zone, the source lines of tracebacks, and what the standard
library imports on first use.
"""

from __future__ import annotations

import codecs
import encodings.idna
import json.encoder
import linecache
import os
import sys
import time
import traceback


def preload() -> None:
    """Loads it. Once, before the jail."""
    for name in ("ascii", "utf-8", "latin-1", "idna", "utf-8-sig", "raw_unicode_escape", "unicode_escape"):
        codecs.lookup(name)
    for error_handler in ("strict", "replace", "backslashreplace", "surrogateescape", "surrogatepass"):
        codecs.lookup_error(error_handler)
    # With TZ unset, strftime(3) would look at /etc/localtime each time, find none in the chroot and go over to UTC.
    os.environ.setdefault("TZ", ":/etc/localtime")
    time.tzset()
    time.strftime("%c %z", time.localtime())
    json.encoder.JSONEncoder(default=str).encode({"text": "\u00e4", "object": object()})
    try:
        raise ValueError("a first trace, so that what traceback needs is there")
    except ValueError:
        traceback.format_exc()
    _keep_source_lines()
    _ = encodings.idna.ToASCII("localhost")


def _keep_source_lines() -> None:
    """Our own for the traces of bugs. For other modules none, rather than a search for their files in the chroot.

    An entry without a time of modification is not compared with its file, see linecache.checkcache().
    """
    for name, module in tuple(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file:
            lines = linecache.getlines(file) if name.partition(".")[0] in ("mwall", "__main__") else []
            linecache.cache[file] = (0, None, lines, file)
