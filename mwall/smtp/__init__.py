"""The protocol (RFC 5321): replies, addresses, commands, framing, mail data, both state machines. No I/O."""
