"""The CRMs, as their documents say that they answer."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from standardwebhooks import Webhook

from schemas.score import ScoreUpdate
from streams.sinks.language import Source
from tests.contracts.crm.server import SECRET, TOKEN, Answer, Asked, CrmServer, Fields

_WHEN: Final = "2026-11-21T10:09:00.000Z"
_NAMES: Final[dict[Source, str]] = {
    "lead_id": "lp_lead",
    "sequence": "lp_sequence",
    "score": "lp_score",
    "tier": "lp_tier",
    "grade": "lp_grade",
    "reasons": "lp_reasons",
    "next_change_at": "lp_next_change",
    "do_not_email": "lp_no_mail",
}


class HubSpotServer(CrmServer):
    """Objects v3: https://developers.hubspot.com/docs/api-reference/crm-objects-v3."""

    kind = "hubspot"
    match = "email"
    names = _NAMES
    expires = True
    more = "client_id: app\n"

    def answer(self, asked: Asked) -> Answer:
        if asked.path == "/oauth/v1/token":
            assert b"grant_type=refresh_token" in asked.body
            return Answer({"access_token": self.tokens[-1], "expires_in": 1800})
        if asked.headers.get("authorization") != f"Bearer {self.tokens[-1]}":
            return _hubspot_error(401, "EXPIRED_AUTHENTICATION", f"token {TOKEN}")
        body = asked.json
        path = asked.path.removeprefix("/crm/v3/objects/contacts")
        if path == "/search":
            one = body["filterGroups"][0]["filters"][0]
            found = [
                each
                for each in self.records.values()
                if str(each.get(one["propertyName"])) in one["values"]
            ]
            return Answer(
                {"total": len(found), "results": [self._seen(each) for each in found]}
            )
        inputs = body["inputs"]
        ids = [each["id"] for each in inputs]
        if len(inputs) > 100 or len(set(ids)) < len(ids):
            return _hubspot_error(
                400, "VALIDATION_ERROR", "Duplicate IDs found in batch"
            )
        if path == "/batch/read":
            assert body["idProperty"] == self.match
            for name in body["properties"]:
                if not self.known(name):  # HubSpot reads what is not there as nothing
                    continue
            found = [each for key in ids if (each := self.record(key))]
            return _hubspot_batch([self._seen(each) for each in found], [])
        return self._write(path, inputs)

    def _write(self, path: str, inputs: list[Fields]) -> Answer:
        for each in inputs:
            for name, value in each["properties"].items():
                assert isinstance(value, str)
                if not self.known(name):
                    return _hubspot_error(
                        400,
                        "VALIDATION_ERROR",
                        "Property values were not valid: "
                        f'[{{"error":"PROPERTY_DOESNT_EXIST","name":"{name}"}}]',
                    )
            if wrong := self.wrong(each["properties"]):
                return _hubspot_error(
                    400, "VALIDATION_ERROR", f'"error":"TOO_LONG","name":"{wrong}"'
                )
        results, errors = [], []
        for each in inputs:
            if path == "/batch/update":
                record = self.records.get(each["id"])
            else:
                assert path == "/batch/upsert"
                assert each["idProperty"] == self.match
                record = self.record(each["id"])
                if record is None:
                    record = self.records[self.add(**{self.match: each["id"]})]
            if record is None:
                errors.append(each["id"])
                continue
            record.update(each["properties"])
            results.append(self._seen(record, new=path == "/batch/upsert"))
        return _hubspot_batch(results, errors)

    def _seen(self, record: Fields, *, new: bool = False) -> Fields:
        return {
            "id": record["id"],
            "properties": {k: v for k, v in record.items() if k != "id"},
            "createdAt": _WHEN,
            "updatedAt": _WHEN,
            "archived": False,
            **({"new": True} if new else {}),
        }


def _hubspot_batch(results: list[Fields], missing: list[str]) -> Answer:
    body: Fields = {
        "status": "COMPLETE",
        "results": results,
        "startedAt": _WHEN,
        "completedAt": _WHEN,
    }
    if not missing:
        return Answer(body)
    error = {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "message": "Could not get some CONTACT objects: check that ids are valid.",
        "context": {"ids": missing},
        "errors": [],
        "links": {},
    }
    return Answer({**body, "numErrors": len(missing), "errors": [error]}, 207)


def _hubspot_error(status: int, category: str, message: str) -> Answer:
    body = {"status": "error", "message": message, "correlationId": "a-b-c"}
    return Answer({**body, "category": category}, status)


class SalesforceServer(CrmServer):
    """REST API: https://developer.salesforce.com/docs/platform/api-rest/guide."""

    kind = "salesforce"
    match = "Email__c"
    names: Mapping[Source, str] = {k: f"{v}__c" for k, v in _NAMES.items()}
    expires = True
    more = "client_id: app\nobject: Lead\n"
    creating = "create: {LastName: email, Company: {constant: Unknown}}\n"
    _query = re.compile(r"SELECT (.+) FROM Lead WHERE (\w+) IN \((.+)\)")

    def known(self, name: str) -> bool:
        return super().known(name) or name in {"Id", "LastName", "Company"}

    def answer(self, asked: Asked) -> Answer:
        if asked.path == "/services/oauth2/token":
            assert b"grant_type=client_credentials" in asked.body
            return Answer({"access_token": self.tokens[-1], "instance_url": self.url})
        if asked.headers.get("authorization") != f"Bearer {self.tokens[-1]}":
            return _salesforce_error(401, "INVALID_SESSION_ID", f"expired {TOKEN}")
        path = asked.path.removeprefix("/services/data/v62.0/")
        if path == "query":
            return self._select(asked.query["q"])
        body = asked.json
        assert asked.method == "PATCH"
        assert body["allOrNone"] is False
        assert len(body["records"]) <= 200
        by = path.removeprefix("composite/sobjects").strip("/").split("/")
        return Answer([self._upsert(each, by) for each in body["records"]])

    def _select(self, query: str) -> Answer:
        asked = self._query.fullmatch(query)
        assert asked is not None, query
        names = asked[1].split(", ")
        values = [
            each.replace("\\'", "'")
            for each in re.findall(r"'((?:\\.|[^'])*)'", asked[3])
        ]
        for name in names:
            if not self.known(name):
                return _salesforce_error(
                    400, "INVALID_FIELD", f"No such column '{name}' on entity 'Lead'."
                )
        found = [each for each in self.records.values() if each.get(asked[2]) in values]
        rows = [
            {"Id": each["id"], **{n: each.get(n) for n in names if n != "Id"}}
            for each in found
        ]
        return Answer({"totalSize": len(rows), "done": True, "records": rows})

    def _upsert(self, record: Fields, by: list[str]) -> Fields:
        assert record.pop("attributes") == {"type": "Lead"}
        for name in record:
            if not self.known(name):
                return _salesforce_result(
                    "INVALID_FIELD", f"No such column '{name}'", []
                )
        if wrong := self.wrong(record):
            text = f"{wrong}: data value too large: {record[wrong]}"
            return _salesforce_result("STRING_TOO_LONG", text, [wrong])
        if len(by) == 2:
            assert by == ["Lead", self.match]
            known = self.record(record[self.match])
            known = known or self.records[self.add()]
        else:
            known = self.records[record.pop("Id")]
        known.update(record)
        return {"id": known["id"], "success": True, "errors": [], "created": True}


def _salesforce_result(code: str, message: str, fields: list[str]) -> Fields:
    error = {"statusCode": code, "message": message, "fields": fields}
    return {"success": False, "errors": [error]}


def _salesforce_error(status: int, code: str, message: str) -> Answer:
    return Answer([{"message": message, "errorCode": code}], status)


class PipedriveServer(CrmServer):
    """Version 2: https://developers.pipedrive.com/docs/api/v1/Persons."""

    kind = "pipedrive"
    match = "email"
    names: Mapping[Source, str] = {
        source: f"{number:040x}" for number, source in enumerate(_NAMES, 0xABC)
    }
    creating = "create: {name: email}\n"

    def answer(self, asked: Asked) -> Answer:
        if asked.headers.get("x-api-token") != self.tokens[-1]:
            return Answer(
                {"success": False, "error": f"unauthorized access {TOKEN}"}, 401
            )
        path = asked.path.removeprefix("/api/v2/persons")
        if path == "/search":
            return self._search(asked.query)
        if asked.method == "GET":
            ids = asked.query["ids"].split(",")
            found = [self._seen(self.records[each], asked.query) for each in ids]
            return Answer({"success": True, "data": found})
        body = asked.json
        custom = body.pop("custom_fields", {})
        for name in custom:
            if not self.known(name):
                error = f"Validation failed: custom_fields: unknown field {name}"
                return Answer({"success": False, "error": error}, 400)
        if wrong := self.wrong(custom):
            error = f"Validation failed: custom_fields: {wrong}: {custom[wrong]}"
            return Answer({"success": False, "error": error}, 400)
        if asked.method == "POST":
            emails = [each["value"] for each in body.pop("emails")]
            record = self.records[self.add(email=emails[0])]
        else:
            assert asked.method == "PATCH"
            record = self.records[path.strip("/")]
        record.update(body)
        record.update(custom)
        return Answer({"success": True, "data": self._seen(record, {})})

    def _search(self, query: dict[str, str]) -> Answer:
        assert query["exact_match"] == "true"
        where = [self.match] if query["fields"] == "email" else [*self.names.values()]
        found = [
            {"result_score": 1, "item": {"id": int(each["id"]), "type": "person"}}
            for each in self.records.values()
            if any(each.get(name) == query["term"] for name in where)
        ]
        return Answer({"success": True, "data": {"items": found}})

    def _seen(self, record: Fields, query: dict[str, str]) -> Fields:
        asked = query.get("custom_fields", "").split(",")
        return {
            "id": int(record["id"]),
            "name": record.get("name"),
            "emails": [{"value": record["email"], "primary": True, "label": "work"}],
            "custom_fields": {n: record.get(n) for n in asked if self.known(n)},
        }


class OdooServer(CrmServer):
    """JSON-RPC: https://www.odoo.com/documentation/18.0/developer/reference."""

    kind = "odoo"
    match = "email_normalized"
    names: Mapping[Source, str] = {k: f"x_{v}" for k, v in _NAMES.items()}
    more = "database: crm\nlogin: bot@example.com\n"
    creating = "create: {name: email, email: email}\n"

    def known(self, name: str) -> bool:
        return super().known(name) or name in {"name", "email"}

    def answer(self, asked: Asked) -> Answer:
        assert asked.path == "/jsonrpc"
        call = asked.json
        assert call["method"] == "call"
        service, arguments = call["params"]["service"], call["params"]["args"]
        if service == "common":
            good = arguments == ["crm", "bot@example.com", self.tokens[-1]]
            return _odoo_result(call, 2 if good else False)
        database, user, secret, model, method, given, more = arguments
        assert (database, user, model) == ("crm", 2, "res.partner")
        if secret != self.tokens[-1]:
            return _odoo_error(call, "odoo.exceptions.AccessDenied", f"no {secret}")
        if method == "search_read":
            return self._search(call, given[0][0], more["fields"])
        values = given[-1]
        for name in values:
            if not self.known(name):
                error = f"Invalid field '{name}' on model 'res.partner'"
                return _odoo_error(call, "builtins.ValueError", error)
        if wrong := self.wrong(values):
            error = f"{wrong}: too long: {values[wrong]}"
            return _odoo_error(call, "odoo.exceptions.ValidationError", error)
        if method == "create":
            number = self.add(**values)
            self.records[number][self.match] = values["email"]
            return _odoo_result(call, int(number))
        assert method == "write"
        self.records[str(given[0][0])].update(values)
        return _odoo_result(call, result=True)

    def _search(self, call: Any, domain: list[Any], fields: list[str]) -> Answer:
        field, operator, values = domain
        assert operator == "in"
        for name in fields:
            if not self.known(name):
                error = f"Invalid field '{name}' on model 'res.partner'"
                return _odoo_error(call, "builtins.ValueError", error)
        found = [
            {"id": int(each["id"]), **{n: each.get(n) or False for n in fields}}
            for each in self.records.values()
            if each.get(field) in values
        ]
        return _odoo_result(call, found)


def _odoo_result(call: Any, result: object) -> Answer:
    return Answer({"jsonrpc": "2.0", "id": call["id"], "result": result})


def _odoo_error(call: Any, name: str, message: str) -> Answer:
    data = {"name": name, "message": message, "debug": "Traceback …"}
    error = {"code": 200, "message": "Odoo Server Error", "data": data}
    return Answer({"jsonrpc": "2.0", "id": call["id"], "error": error})


class WebhookServer(CrmServer):
    """Takes updates as it should: checks the signature, keeps the largest sequence."""

    kind = "webhook"
    match = "email"
    names = _NAMES

    def yaml(self, *, create: bool, timeout: str) -> str:  # noqa: ARG002 - takes all
        return (
            f"sink: crm\nkind: webhook\nurl: {self.url}/leadpulse\n"
            f"timeout: {timeout}\nwait: 50ms\nrate: 1000/second\n"
        )

    def answer(self, asked: Asked) -> Answer:
        body = Webhook(WEBHOOK_SECRET).verify(asked.body, dict(asked.headers))
        assert body["type"] == "lead.scores.changed"
        for told in body["data"]["updates"]:
            update = msgspec.convert(told, ScoreUpdate)
            record = self._of(update.lead_id)
            if int(record.get("lp_sequence") or 0) < update.sequence:
                record.update(
                    email=update.identifiers.email[0],
                    lp_sequence=update.sequence,
                    lp_score=update.score,
                    lp_tier=update.tier,
                    lp_reasons="; ".join(
                        each.text for each in update.reasons if each.points > 0
                    ),
                )
        for gone in body["data"]["gone"]:
            record = self._of(gone["lead_id"])
            record.update(dict.fromkeys(self.names.values()))
        return Answer({}, 200)

    def _of(self, lead_id: str) -> Fields:
        for record in self.records.values():
            if record.get("lp_lead") == lead_id:
                return record
        return self.records[self.add(email="", lp_lead=lead_id)]


WEBHOOK_SECRET: Final = "whsec_c2VjcmV0IG9mIHRoZSB3ZWJob29rIHRlc3RzIQ=="
"""Base64 of a text that a log could quote."""

SECRETS: Final[dict[str, str]] = {
    "hubspot": f"crm={SECRET},crm.refresh={SECRET}-refresh",
    "salesforce": f"crm={SECRET}",
    "pipedrive": f"crm={TOKEN}",
    "odoo": f"crm={TOKEN}",
    "webhook": f"crm={WEBHOOK_SECRET}",
}
VENDORS: Final[dict[str, type[CrmServer]]] = {
    each.kind: each
    for each in (
        HubSpotServer,
        SalesforceServer,
        PipedriveServer,
        OdooServer,
        WebhookServer,
    )
}
