"""One client's connection: octets between its socket and its SMTP session, deadlines, and its end.

The rules:
- All replies that are ready leave in one send. While one could not be sent whole,
  nothing is read: a client that does not listen is not served.
- While the session waits for an answer from elsewhere, a little is read ahead, so
  that a client that has gone is noticed before our final dot.
- The deadline of a command runs from our last reply and is not moved by single
  octets; that of mail data runs from the last octets, with a floor on the rate.
"""

from __future__ import annotations

import ipaddress
import math
import socket
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from mwall.policy.checks import Envelope
from mwall.policy.profile import Profile
from mwall.shared.seats import seat_key
from mwall.smtp.maildata import Fault
from mwall.smtp.server import Event, Session, Transaction
from mwall.worker.looking import Looking
from mwall.worker.loop import READ, WRITE
from mwall.worker.message import MessagePassage
from mwall.worker.recipient import RecipientQuestion

if TYPE_CHECKING:
    from mwall.worker.worker import Worker

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_DONTWAIT = int(socket.MSG_DONTWAIT)  # an accepted socket blocks: one ioctl less for each connection
_COMMAND_OCTETS = 4096
_DATA_OCTETS = 65536
_READ_AHEAD = 16384
LINGER = 2.0  # seconds of reading away behind a refusal, so that the client sees our words and not a reset
_IDLE_AT_DRAIN = 1.0  # a session that has been silent for so long gets no time for a first transaction


class Peer(NamedTuple):
    """A client's address, as text, and what its seats are counted by."""

    address: Address
    text: str
    key: int


@lru_cache(4096)
def parse_peer(text: str) -> Peer:
    """A client's address as accept() gives it: IPv4 in IPv6 unwrapped, without a scope id."""
    address = ipaddress.ip_address(text.partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    return Peer(address, str(address), seat_key(address))


class ClientConnection:
    """A connection that has a seat, from accept to close. `deadline` is monotonic seconds."""

    __slots__ = ("_events", "_lingering", "_looked_at", "_looking", "_unsent", "_worker", "accounted", "address",
                 "data_since", "deadline", "gone", "greeted", "passage", "question", "relay", "seat", "session", "sock",
                 "text")  # fmt: skip

    def __init__(self, worker: Worker, sock: socket.socket, peer: Peer, seat: int, relay: bool) -> None:
        settings = worker.settings
        self._worker = worker
        self._events = READ
        self._unsent = b""
        self._lingering = False
        self.sock = sock
        self.address = peer.address
        self.text = peer.text
        self.seat = seat
        self.relay = relay
        self.session = Session(worker.limits, worker.pool.offers, relay or settings.bare_newline == "normalize")
        self.deadline = math.inf
        self.accounted = 0  # octets of mail data that count in max_memory
        self.data_since = 0.0
        self.gone = False
        self.greeted = False
        self.question: RecipientQuestion | None = None
        self.passage: MessagePassage | None = None
        self._looking: Looking | None = None
        self._looked_at: Transaction | None = None  # whose reverse-path the look-ups know

    def greet(self) -> None:
        """Sends the greeting, now that any delay is over."""
        if not self.gone and not self.greeted and not self.session.closing:
            self.greeted = True
            self.session.greet()
            self._advance()

    # What the loop does

    def on_bug(self) -> None:
        """Our own error: 421, and the session is over."""
        self._worker.counters.add("errors")
        passage, question = self.passage, self.question
        # The session ends first: nothing behind the message may be answered as if it were the answer to the message.
        self.end(421, "4.3.0", "internal error, please try again later")
        if passage is not None:
            passage.abandon()
        if question is not None:
            question.abandon()

    def on_ready(self, events: int) -> None:
        if events & WRITE and not self._send_rest():
            return
        if not events & ~WRITE:
            return
        session = self.session
        in_data = session.in_data
        try:
            octets = self.sock.recv(_DATA_OCTETS if in_data else _COMMAND_OCTETS, _DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            self.lose()
            return
        if not octets:
            self.lose()
        elif not self._lingering:
            session.receive(octets)
            if not self.greeted:
                self.greet()  # a client that talks first is told at once
            elif session.waiting is not None:
                self._watch(self._readable)
            else:
                self._advance()
                if in_data and self.data_since:
                    self._account()

    def _account(self) -> None:
        """Mail data came: max_memory, and a new deadline for silence."""
        transaction = self.session.transaction
        if self.passage is None and transaction is not None and transaction.mail_data is not None:
            self.deadline = self._worker.loop.now + self._worker.settings.data_timeout
            self.count_memory()

    def count_memory(self) -> None:
        """Brings what max_memory counts for this client up to what is held; past the limit nothing is held."""
        assert self.session.transaction is not None and self.session.transaction.mail_data is not None
        mail_data = self.session.transaction.mail_data
        if mail_data.octets > self.accounted and not self._worker.memory.take(mail_data.octets - self.accounted):
            mail_data.discard(Fault.NO_MEMORY)
        elif mail_data.octets > self.accounted:
            self.accounted = mail_data.octets
        if mail_data.octets < self.accounted:
            self._worker.memory.give_back(self.accounted - mail_data.octets)
            self.accounted = mail_data.octets

    # The session

    def _advance(self) -> None:
        session = self.session
        while (event := session.advance()) is not None:
            if event is Event.RECIPIENT:
                self.question = RecipientQuestion(self._worker, self)
                if not self.question.ask():
                    break
            else:
                self.count_memory()
                self.data_since = 0.0
                self.passage = MessagePassage(self._worker, self)
                self.passage.begin()
                if self.passage is not None:
                    break
        if session.transaction is not None and session.transaction is not self._looked_at and self.passage is None:
            self.look_up(self._worker.first_profile(self.relay))
        self.send()
        if self._events == 0 and not self.gone:
            self._watch(self._readable)

    def resume(self) -> None:
        """The event was answered from elsewhere: send the reply and go on."""
        if not self.gone and not self.session.closing:
            self._advance()

    def answer_message(self, answer: bytes) -> None:
        """The reply to the end of data; the mail data is held no longer."""
        self.passage = None
        self._worker.memory.give_back(self.accounted)
        self.accounted = 0
        self.session.answer_message(answer)

    def end(self, reply_code: int, enhanced_status_code: str, text: str) -> None:
        """Ends the session with this reply."""
        if not self.gone:
            self.session.end(reply_code, enhanced_status_code, text)
            self.send()

    # Look-ups, which begin while the client still talks

    def look_up(self, profile: Profile, is_needed: bool = False) -> Looking | None:
        """The look-ups of this profile, with all of them begun that can be; None where it has none, unless needed."""
        looking, transaction = self._looking, self.session.transaction
        other = looking is not None and (looking.profile is not profile or self._looked_at not in (None, transaction))
        if looking is not None and other:
            looking.close(is_replaced=self._looked_at in (None, transaction))
            looking = self._looking = None
        if looking is None and (profile.lookups or is_needed):
            envelope = Envelope(self.address, self.relay, "", None, [])
            looking = Looking(self._worker.resolver, self._worker.counters, profile, envelope, self)
            self._looking = looking
        if transaction is not None:
            self._looked_at = transaction
            if looking is not None and not looking.knows_reverse_path:
                envelope = looking.inquiry.envelope
                envelope.helo_name = self.session.helo_name
                envelope.reverse_path = transaction.mail.reverse_path
                envelope.recipients = transaction.recipients
                envelope.smtputf8 = transaction.mail.smtputf8
                looking.look_at_reverse_path()
        return looking

    def take_looking(self, profile: Profile) -> Looking:
        """Those of the message whose data is complete, for its passage to wait for and to close."""
        looking = self.look_up(profile, is_needed=True)
        assert looking is not None
        self._looking = self._looked_at = None
        return looking

    # Sending and closing

    def send(self) -> None:
        """Sends what is ready, all in one."""
        session = self.session
        output = session.output
        if output:
            octets = output[0] if len(output) == 1 else b"".join(output)
            output.clear()
            now = self._worker.loop.now
            if session.in_data:
                self.data_since = now
                self.deadline = now + self._worker.settings.data_timeout
            else:
                self.deadline = now + self._worker.settings.command_timeout
            if self._unsent:
                self._unsent += octets
                return
            self._send_octets(octets)
        if session.closing and not self._unsent and not self.gone and not self._lingering:
            self._part()

    def _send_octets(self, octets: bytes) -> None:
        try:
            sent = self.sock.send(octets, _DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.lose()
            return
        if sent < len(octets):
            self._unsent = octets[sent:]
            self._watch(WRITE)
        elif self._unsent:
            self._unsent = b""
            self._watch(self._readable)

    def _send_rest(self) -> bool:
        """Whether all has gone out."""
        self._send_octets(self._unsent)
        if self.gone or self._unsent:
            return False
        self.send()
        if not self.gone and not self._lingering and self.session.waiting is None:
            self._advance()
        return not self.gone

    @property
    def _readable(self) -> int:
        """READ, unless enough has been read ahead: what has piled up is obeyed in one step."""
        return READ if self.session.buffered <= _READ_AHEAD else 0

    def _watch(self, events: int) -> None:
        if events != self._events:
            self._events = events
            self._worker.loop.change(self.sock.fileno(), events)

    def _part(self) -> None:
        """Closes; where the client may still be sending, only once it has had time to read."""
        if not self.session.said_goodbye:
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                self.close()
                return
            self._lingering = True
            self.deadline = self._worker.loop.now + LINGER
            self._watch(READ)
        else:
            self.close()

    def lose(self) -> None:
        """The client has gone, by FIN or RST. What has not gone to the backend yet is not delivered."""
        passage = self.passage
        self.gone = True
        self.close()
        if self.question is not None:
            self.question.withdraw()
        if passage is not None:
            passage.client_gone()
        elif self.session.in_data and not self.session.closing:
            MessagePassage(self._worker, self).broken_off("client gone within the mail data")

    def close(self) -> None:
        """Closes and leaves the seat."""
        if self.sock.fileno() >= 0:
            self.gone = True
            self._worker.loop.forget(self.sock.fileno())
            self.sock.close()
            if self.passage is None:
                self._worker.memory.give_back(self.accounted)
                self.accounted = 0
            if self._looking is not None:
                self._looking.close()
            self._worker.left(self)

    # Deadlines and drain

    def tick(self, now: float) -> None:
        """Once a second: deadlines, the rate of mail data, the drain."""
        if now >= self.deadline:
            self._time_out()
        elif self.data_since and now - self.data_since >= self._worker.settings.data_timeout:
            transaction = self.session.transaction
            assert transaction is not None and transaction.mail_data is not None
            rate = transaction.mail_data.received / (now - self.data_since)
            if rate < self._worker.settings.min_data_rate:
                self._break_off("mail data comes too slowly")
        elif self.session.draining and self._is_idle(now):
            self.end(421, "4.3.2", "restarting, please connect again")

    def _is_idle(self, now: float) -> bool:
        session = self.session
        if session.transaction is not None or session.waiting is not None or session.closing:
            return False
        return now - (self.deadline - self._worker.settings.command_timeout) >= _IDLE_AT_DRAIN

    def _time_out(self) -> None:
        if self._lingering or self._unsent:
            self.lose()
        elif self.session.in_data:
            self._break_off("no mail data in time")
        elif self.session.waiting is None:
            self.end(421, "4.4.2", "no command in time")

    def _break_off(self, why: str) -> None:
        self.data_since = 0.0
        MessagePassage(self._worker, self).broken_off(why)
        self.end(421, "4.4.2", why)
