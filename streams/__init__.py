"""The shell: Faust, HTTP, Redis and the world around the scoring core."""
