"""Delivery: alerts reach people, each target at its own pace (ADR 0028)."""
