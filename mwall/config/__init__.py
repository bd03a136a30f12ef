"""The files an admin writes: messagewall.conf, profiles and maps. One grammar; every fault with its place."""
