"""The status pipe: the daemon's one word, whether it serves, to the command that the admin typed and that waits."""

from __future__ import annotations

import os
from contextlib import suppress

from mwall.master.privileges import StartError

_MAX_WORD = 4000  # octets; with the exit code less than PIPE_BUF, so that one read gets what one write put


class StatusPipe:
    """Made before the first fork; each side then closes the end that is the other's."""

    def __init__(self) -> None:
        """Raises OSError."""
        self._listening_end, self._speaking_end = os.pipe()

    @property
    def descriptor(self) -> int:
        """The daemon's end, which must survive the detachment."""
        return self._speaking_end

    def speak(self) -> None:
        """In the daemon: this end is ours."""
        os.close(self._listening_end)

    def tell(self, code: int, word: str) -> None:
        """Exit code and reason for the command. Only the first word counts; the command has gone after it."""
        if self._speaking_end >= 0:
            with suppress(OSError):
                os.write(self._speaking_end, bytes([code]) + word.encode("utf-8", "replace")[:_MAX_WORD])
            self.close()

    def close(self) -> None:
        """In a child of the daemon, which has nothing to say here: the command sees when the last who could is gone."""
        if self._speaking_end >= 0:
            os.close(self._speaking_end)
            self._speaking_end = -1

    def listen(self, child: int) -> None:
        """In the command, which forked `child`: returns once the daemon serves. Raises StartError."""
        os.close(self._speaking_end)
        # Not until the end of the pipe: a word has come when it has come, whoever still holds the other end.
        word = os.read(self._listening_end, _MAX_WORD + 1)
        os.waitpid(child, 0)
        if not word:
            raise StartError(os.EX_SOFTWARE, "the daemon ended without a word; see its log")
        if word[0]:
            raise StartError(word[0], word[1:].decode("utf-8", "replace"))
