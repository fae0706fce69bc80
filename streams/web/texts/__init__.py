"""The words of the screens: a table for each language."""
