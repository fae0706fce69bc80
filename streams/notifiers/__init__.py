"""Notifiers: each says a message at one kind of place, and answers what came of it."""
