"""The accounts in the view: their ranking, and the card of each with its people."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec
from redis import Redis

from schemas.account import AccountScore
from schemas.workspace import workspace_of
from scorers.belonging import account_id_of
from scorers.free_mail import company_domain
from streams.view_records import AccountCard, LeadCard, read_alerts, read_point
from streams.view_redis import answering, text

PEOPLE: Final = 100
"""How many people of an account are shown, the strongest first."""


class AccountsView:
    """Reads what the view knows of accounts; `streams.view` writes it."""

    def __init__(
        self,
        redis: Redis,
        prefix: str,
        workspace: str,
        cards: Callable[[Sequence[str]], tuple[LeadCard, ...]],
    ) -> None:
        """Read keys that start with `prefix`; `cards` returns those of leads."""
        self._workspace = workspace
        self._redis = redis
        self._prefix = prefix
        self._leads = cards

    def key(self, account_id: str) -> str:
        """Return the key of an account's card, with which its other keys begin."""
        return f"{self._prefix}account:{account_id}"

    def top(self, *, limit: int, tier: str | None = None) -> tuple[AccountCard, ...]:
        """Return the `limit` best accounts, of one tier if given, best first.

        An account that everybody left is none of them.
        """
        name = "account-rank" if tier is None else f"account-rank:tier:{tier}"
        with answering():
            ranked = self._redis.zrevrange(f"{self._prefix}{name}", 0, limit - 1)
            cards = self._cards([text(account_id) for account_id in ranked])
        return tuple(card for card in cards if card.update.members)

    def show(self, account_id: str) -> AccountCard | None:
        """Return all about one account, or None when the view has never seen it."""
        key = self.key(account_id)
        with answering():
            cards = self._cards([account_id])
            people = self._redis.zrevrange(f"{key}:members", 0, PEOPLE - 1)
            bodies = self._redis.hvals(f"{key}:alerts:body")
            leads = self._leads([text(lead_id) for lead_id in people])
        if not cards:
            return None
        return msgspec.structs.replace(
            cards[0], people=leads, alerts=read_alerts(bodies)
        )

    def find(self, term: str) -> str | None:
        """Return the account that `term` names, None where none does.

        A term is an account id, the CRM's id, a mail domain or the company's name.
        """
        term = term.strip()
        derived = [
            term,
            account_id_of("account", term, self._workspace),
            _of_domain(term, self._workspace),
        ]
        with answering():
            aliases = [*derived, term.casefold()]
            found = self._redis.hmget(f"{self._prefix}account-aliases", aliases)
            candidates = [*derived, *(text(alias) for alias in found if alias)]
            with self._redis.pipeline(transaction=False) as pipe:
                for account_id in candidates:
                    pipe.exists(self.key(account_id))
                there = pipe.execute()
        known = zip(candidates, there, strict=True)
        return next((account_id for account_id, exists in known if exists), None)

    @staticmethod
    def aliases(score: AccountScore) -> Iterator[str]:
        """Yield what else an account is found by: its name, and its people's domain.

        Of several accounts of one name the one that was written last is found.
        """
        if score.name:
            yield score.name.casefold()
        if score.domain is not None:
            yield _of_domain(score.domain, workspace_of(score.account_id))

    def _cards(self, account_ids: Sequence[str]) -> tuple[AccountCard, ...]:
        with self._redis.pipeline(transaction=False) as pipe:
            for account_id in account_ids:
                pipe.hget(self.key(account_id), "update")
                pipe.zrange(f"{self.key(account_id)}:history", 0, -1)
            answers = iter(pipe.execute())
        return tuple(
            AccountCard(
                update=_SCORE.decode(body), history=tuple(map(read_point, history))
            )
            for body, history in zip(answers, answers, strict=True)
            if body is not None
        )


_SCORE: Final = msgspec.json.Decoder(AccountScore)


def _of_domain(domain: str, workspace: str) -> str:
    return account_id_of("domain", company_domain(domain) or domain, workspace)
