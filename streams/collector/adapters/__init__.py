"""One adapter per vendor: its JSON becomes canonical events, purely."""
