"""Whose mail it is, and whose profile weighs it."""

from mwall.policy.load import Policy
from mwall.policy.profile import Profile
from mwall.smtp.addresses import Mailbox


def profile_for(policy: Policy, mailbox: Mailbox, relay: bool) -> Profile:
    """The profile of a recipient; for a client of relay_ips (`relay`) the same one whoever the recipient is."""
    if relay:
        return policy.relay_profile
    name = policy.special_users.profile_of(mailbox)
    return policy.default_profile if name is None else policy.profiles[name]


def is_local(policy: Policy, mailbox: Mailbox) -> bool:
    """Whether mail for this mailbox is taken from anybody.

    <postmaster> without a domain always is (RFC 5321 4.5.1); an address literal where local_domains lists it.
    """
    return not mailbox.domain or mailbox.domain in policy.local_domains
