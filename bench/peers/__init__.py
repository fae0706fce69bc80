"""Ours beside its peers: the same work, the same broker, CPU time compared."""
