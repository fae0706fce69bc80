"""Mappings: any JSON or table row becomes canonical events, declared in YAML."""
