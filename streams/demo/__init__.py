"""The demo: three weeks of a made-up market in a minute, on the real product."""
