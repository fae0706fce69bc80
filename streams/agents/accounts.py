"""The accounts' agent: what leads tell in, account scores and alerts out."""

from schemas.account import AccountWakeup, MemberUpdate
from schemas.time import Instant, to_instant
from schemas.topics import ACCOUNT_MEMBERS, ACCOUNT_STATE
from schemas.workspace import workspace_of
from scorers.accounts import AccountStep, on_account_wakeup, on_member
from scorers.compiled import CompiledModel
from streams import codec, metrics
from streams.agents.cycle import Cycle, Touched
from streams.agents.durable import Change, DurableAgent
from streams.codec import Message
from streams.transport.progress import Record as Raw


class Accounts(DurableAgent):
    """Adds leads up to accounts, for the partitions that this worker owns."""

    stage = "accounts"
    changelog = ACCOUNT_STATE
    sources = (ACCOUNT_MEMBERS,)

    def _handle(
        self, cycle: Cycle, topic: str, partition: int, record: Raw, message: Message
    ) -> None:
        match message:
            case MemberUpdate():
                self._member(cycle, topic, partition, record, message)
            case AccountWakeup():
                self._look(cycle, topic, partition, record, message)
            case _:
                msg = f"{topic} holds no {type(message).__name__}"
                raise TypeError(msg)

    def _member(
        self,
        cycle: Cycle,
        topic: str,
        partition: int,
        record: Raw,
        member: MemberUpdate,
    ) -> None:
        now = to_instant(member.as_of)
        model = self._model(partition, member.account_id, now)
        touched = self._touch(cycle, member.account_id, partition)
        if touched is None or model.accounts is None:
            # Not the account's partition: nothing of ours was put there.
            cycle.results[topic, "ignored"] += 1
            return
        if self._replayed(cycle, touched, topic, record):
            return
        step = on_member(model, touched.state, member, now)
        cycle.results[topic, step.outcome] += 1
        if step.outcome == "applied":
            self._change(cycle, touched, topic, record, step)

    def _look(
        self,
        cycle: Cycle,
        topic: str,
        partition: int,
        record: Raw,
        wakeup: AccountWakeup,
    ) -> None:
        now = to_instant(wakeup.at)
        model = self._model(partition, wakeup.account_id, now)
        touched = self._touch(cycle, wakeup.account_id, partition)
        if touched is None or touched.state is None or model.accounts is None:
            cycle.results[topic, "ignored"] += 1
            return
        if self._replayed(cycle, touched, topic, record):
            return
        if touched.state.wake_at is None or now < touched.state.wake_at:
            cycle.results[topic, "early"] += 1
            return  # was looked at since
        step = on_account_wakeup(model, touched.state, now)
        self._expect_rest(step.wake_at, now)
        cycle.results[topic, "applied"] += 1
        self._change(cycle, touched, topic, record, step)

    def _model(self, partition: int, account_id: str, now: Instant) -> CompiledModel:
        """Return the model that is in force for an account."""
        versions = self._models.primary(partition, workspace_of(account_id))
        return versions.at(now).model

    def _change(
        self, cycle: Cycle, touched: Touched, topic: str, record: Raw, step: AccountStep
    ) -> None:
        """Note the step that a record led to."""
        trace = codec.traceparent(record.headers)
        outputs = (
            *(codec.account_output(update, trace) for update in step.updates),
            *(codec.alert_output(alert, trace) for alert in step.alerts),
        )
        touched.tiers += tuple(update.tier for update in step.updates)
        alerted = bool(step.alerts)
        change = Change(step.state, outputs, step.decisions, alerted=alerted)
        self._apply(cycle, touched, topic, record, change)

    def _discount(self, cycle: Cycle, topic: str) -> None:
        cycle.results[topic, "applied"] -= 1

    def _count(self, cycle: Cycle) -> None:
        for (_, result), count in cycle.results.items():
            metrics.ACCOUNT_COMMANDS.labels(result).inc(count)
        metrics.ACCOUNTS.set(len(self._table))
        for (tier, workspace), count in cycle.tiers().items():
            metrics.ACCOUNT_SCORES.labels(tier, workspace).inc(count)
