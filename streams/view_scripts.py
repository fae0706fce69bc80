"""The steps of the view that must be one: Lua, run inside Redis (docs/view.md)."""

from typing import Final

# Every kind of command that the scripts below use, on a key that is gone afterwards;
# nobody hears what is published, for it is no message.
RIGHTS: Final = """
local key, live = KEYS[1], KEYS[2]
redis.call('DEL', key)
for _, command in ipairs({'HSET', 'HDEL'}) do redis.call(command, key, 'a', '1') end
redis.call('DEL', key)
redis.call('ZADD', key, 'XX', 1, 'a')
redis.call('ZREM', key, 'a')
redis.call('ZREMRANGEBYRANK', key, 0, 0)
redis.call('ZUNIONSTORE', key, 1, key)
redis.call('ZRANGE', key, 0, 0)
redis.call('EXISTS', key)
redis.call('GET', key)
redis.call('HGETALL', key)
redis.call('HMGET', key, 'a')
redis.call('HEXISTS', key, 'a')
redis.call('PUBLISH', live .. ':probe', '')
return 1
"""

# A stale or repeated update at most fills a gap in the history; an accepted one moves
# the lead between the ranked sets, and between accounts, in one step, so that no reader
# sees it in two tiers. An account is put in the same way, under a prefix of its own.
PUT_UPDATE: Final = """
local card, rank, history, aliases, live = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local prefix, lead, sequence, score, tier, owner, account = unpack(ARGV, 1, 7)
local keep, body, points = tonumber(ARGV[8]), ARGV[9], tonumber(ARGV[10])
redis.call('ZADD', history, unpack(ARGV, 11, 10 + points))
redis.call('ZREMRANGEBYRANK', history, 0, -keep - 1)
local old = redis.call('HMGET', card, 'sequence', 'tier', 'owner', 'account')
if old[1] and tonumber(old[1]) >= tonumber(sequence) then return 0 end
if old[2] and old[2] ~= tier then
  redis.call('ZREM', prefix .. 'rank:tier:' .. old[2], lead)
end
if old[3] and old[3] ~= '' and old[3] ~= owner then
  redis.call('ZREM', prefix .. 'rank:owner:' .. old[3], lead)
end
local function members(of) return prefix .. 'account:' .. of .. ':members' end
if old[4] and old[4] ~= '' and old[4] ~= account then
  redis.call('ZREM', members(old[4]), lead)
end
redis.call('HSET', card, 'sequence', sequence, 'tier', tier, 'owner', owner,
  'account', account, 'update', body)
redis.call('HDEL', prefix .. 'merged', lead)
redis.call('ZADD', rank, score, lead)
redis.call('ZADD', prefix .. 'rank:tier:' .. tier, score, lead)
if owner ~= '' then
  redis.call('ZADD', prefix .. 'rank:owner:' .. owner, score, lead)
end
if account ~= '' then redis.call('ZADD', members(account), score, lead) end
for i = 11 + points, #ARGV do
  redis.call('HSET', aliases, ARGV[i], lead)
  -- Events of an identifier that never was a lead of its own are this one's.
  local other = prefix .. 'lead:' .. ARGV[i]
  if redis.call('HEXISTS', other, 'update') == 0
    and redis.call('EXISTS', other .. ':events') == 1 then
    redis.call('ZUNIONSTORE', card .. ':events', 2, card .. ':events',
      other .. ':events', 'AGGREGATE', 'MAX')
    redis.call('DEL', other .. ':events')
  end
end
redis.call('PUBLISH', live, body)
return 1
"""

# A lead that is part of another one leaves the ranked sets and gives the other its
# events and alerts; of its card only the sequence stays, against stale updates.
PUT_MERGED: Final = """
local prefix, lead, sequence, to = unpack(ARGV, 1, 4)
local keep, body, merged = tonumber(ARGV[5]), ARGV[6], prefix .. 'merged'
local function key(of, part) return prefix .. 'lead:' .. of .. part end
local own = key(lead, '')
local old = redis.call('HMGET', own, 'sequence', 'tier', 'owner', 'account')
if old[1] and tonumber(old[1]) >= tonumber(sequence) then return 0 end
redis.call('ZREM', prefix .. 'rank', lead)
if old[2] then redis.call('ZREM', prefix .. 'rank:tier:' .. old[2], lead) end
if old[3] then redis.call('ZREM', prefix .. 'rank:owner:' .. old[3], lead) end
if old[4] then
  redis.call('ZREM', prefix .. 'account:' .. old[4] .. ':members', lead)
end
redis.call('HDEL', own, 'tier', 'owner', 'account', 'update')
redis.call('HSET', own, 'sequence', sequence)
redis.call('HSET', merged, lead, to)
redis.call('HSET', prefix .. 'aliases', lead, to)
for _ = 1, 8 do
  to = redis.call('HGET', merged, to) or to
end
for _, part in ipairs({':events', ':alerts', ':work', ':deal'}) do
  redis.call('ZUNIONSTORE', key(to, part), 2, key(to, part), key(lead, part),
    'AGGREGATE', 'MAX')
end
redis.call('ZREMRANGEBYRANK', key(to, ':events'), 0, -keep - 1)
redis.call('ZREMRANGEBYRANK', key(to, ':deal'), 0, -2)
local bodies = redis.call('HGETALL', key(lead, ':alerts:body'))
for i = 1, #bodies, 2 do
  redis.call('HSET', key(to, ':alerts:body'), bodies[i], bodies[i + 1])
end
redis.call('DEL', key(lead, ':events'), key(lead, ':history'), key(lead, ':alerts'),
  key(lead, ':alerts:body'), key(lead, ':work'), key(lead, ':deal'))
redis.call('PUBLISH', prefix .. 'live', body)
return 1
"""

# `lead` becomes the one whose card there is.
_SHOWN_AS: Final = """
for _ = 1, 8 do
  local to = redis.call('HGET', prefix .. 'merged', lead)
  if not to then break end
  lead = to
end
if redis.call('HEXISTS', prefix .. 'lead:' .. lead, 'update') == 0 then
  lead = redis.call('HGET', prefix .. 'aliases', lead) or lead
end
"""

# Events of a lead that is part of another one by now are shown there.
PUT_EVENTS: Final = (
    """
local prefix, lead, keep = ARGV[1], ARGV[2], tonumber(ARGV[3])
"""
    + _SHOWN_AS
    + """
local events = prefix .. 'lead:' .. lead .. ':events'
redis.call('ZADD', events, unpack(ARGV, 4))
redis.call('ZREMRANGEBYRANK', events, 0, -keep - 1)
return 1
"""
)

# What people did with a lead; of one that is part of another it is shown there.
PUT_WORK: Final = (
    """
local prefix, lead, keep, at, body, id = unpack(ARGV)
"""
    + _SHOWN_AS
    + """
local work = prefix .. 'lead:' .. lead .. ':work'
-- Said twice, it was done once: when it was said first.
for _, other in ipairs(redis.call('ZRANGE', work, 0, -1)) do
  if string.find(other, '"id":' .. id .. ',', 1, true) then return 0 end
end
local added = redis.call('ZADD', work, at, body)
redis.call('ZREMRANGEBYRANK', work, 0, -tonumber(keep) - 1)
if added == 1 then
  redis.call('PUBLISH', prefix .. 'live',
    '{"lead_id":"' .. lead .. '","work":' .. body .. '}')
end
return added
"""
)

# The CRM's last word of a lead's deal.
PUT_DEAL: Final = (
    """
local prefix, lead, at, body = unpack(ARGV)
"""
    + _SHOWN_AS
    + """
local deal = prefix .. 'lead:' .. lead .. ':deal'
local added = redis.call('ZADD', deal, at, body)
redis.call('ZREMRANGEBYRANK', deal, 0, -2)
if added == 1 and redis.call('ZSCORE', deal, body) then
  redis.call('PUBLISH', prefix .. 'live',
    '{"lead_id":"' .. lead .. '","deal":' .. body .. '}')
end
return added
"""
)

# The newest alerts by the instant of their decision, each id once.
PUT_ALERT: Final = """
local id, at, body = ARGV[1], ARGV[2], ARGV[3]
local added = redis.call('HSET', KEYS[2], id, body)
for i = 1, 2 do
  local order, bodies, keep = KEYS[i * 2 - 1], KEYS[i * 2], tonumber(ARGV[3 + i])
  redis.call('HSET', bodies, id, body)
  redis.call('ZADD', order, at, id)
  local excess = redis.call('ZRANGE', order, 0, -keep - 1)
  if #excess > 0 then
    redis.call('ZREM', order, unpack(excess))
    redis.call('HDEL', bodies, unpack(excess))
  end
end
if added == 1 then redis.call('PUBLISH', KEYS[5], body) end
return added
"""

ERASE: Final = """
local prefix, lead = ARGV[1], ARGV[2]
local own = prefix .. 'lead:' .. lead
local old = redis.call('HMGET', own, 'tier', 'owner', 'account')
redis.call('HDEL', prefix .. 'merged', lead)
redis.call('ZREM', prefix .. 'rank', lead)
if old[1] then redis.call('ZREM', prefix .. 'rank:tier:' .. old[1], lead) end
if old[2] then redis.call('ZREM', prefix .. 'rank:owner:' .. old[2], lead) end
-- Alerts of accounts name their people: those that name the lead go, too.
local function forget(order)
  local bodies = redis.call('HGETALL', order .. ':body')
  for i = 1, #bodies, 2 do
    local id, body = bodies[i], bodies[i + 1]
    if string.find(body, lead, 1, true) then
      local orders, account = {order}, cjson.decode(body)['account_id']
      if type(account) == 'string' then
        orders[2] = prefix .. 'account:' .. account .. ':alerts'
      end
      for _, each in ipairs(orders) do
        redis.call('ZREM', each, id)
        redis.call('HDEL', each .. ':body', id)
      end
    end
  end
end
forget(prefix .. 'alerts')
if old[3] and old[3] ~= '' then
  local account = prefix .. 'account:' .. old[3]
  redis.call('ZREM', account .. ':members', lead)
  forget(account .. ':alerts')
end
return redis.call('DEL', own, own .. ':events', own .. ':history', own .. ':alerts',
  own .. ':alerts:body', own .. ':work', own .. ':deal')
"""

# Positions move only within the build of the view that the data went into: after a
# drop or a loss they would otherwise claim data that is gone.
ADVANCE: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if #ARGV > 1 then redis.call('HSET', KEYS[2], unpack(ARGV, 2)) end
return 1
"""
