"""The core: pure functions of (state, input, now). No I/O, no clock."""
