"""One worker: its event loop, the clients' and the backend's connections, the log."""
