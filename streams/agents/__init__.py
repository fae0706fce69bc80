"""The agents: what happens to the records of each topic."""
