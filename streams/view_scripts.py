"""The steps of the view that must be one: Lua, run inside Redis (docs/view.md)."""

from typing import Final

# A stale or repeated update at most fills a gap in the history; an accepted one moves
# the lead between the ranked sets in one step, so that no reader sees it in two tiers.
PUT_UPDATE: Final = """
local card, rank, history, aliases, live = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local prefix, lead, sequence, score, tier, owner = unpack(ARGV, 1, 6)
local keep, body, points = tonumber(ARGV[7]), ARGV[8], tonumber(ARGV[9])
redis.call('ZADD', history, unpack(ARGV, 10, 9 + points))
redis.call('ZREMRANGEBYRANK', history, 0, -keep - 1)
local old = redis.call('HMGET', card, 'sequence', 'tier', 'owner')
if old[1] and tonumber(old[1]) >= tonumber(sequence) then return 0 end
if old[2] and old[2] ~= tier then
  redis.call('ZREM', prefix .. 'rank:tier:' .. old[2], lead)
end
if old[3] and old[3] ~= '' and old[3] ~= owner then
  redis.call('ZREM', prefix .. 'rank:owner:' .. old[3], lead)
end
redis.call('HSET', card, 'sequence', sequence, 'tier', tier, 'owner', owner,
  'update', body)
redis.call('ZADD', rank, score, lead)
redis.call('ZADD', prefix .. 'rank:tier:' .. tier, score, lead)
if owner ~= '' then
  redis.call('ZADD', prefix .. 'rank:owner:' .. owner, score, lead)
end
for i = 10 + points, #ARGV do redis.call('HSET', aliases, ARGV[i], lead) end
redis.call('PUBLISH', live, body)
return 1
"""

# The newest alerts by the instant of their decision, each id once.
PUT_ALERT: Final = """
local id, lead, at, body = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local added = redis.call('HSET', KEYS[2], id, body)
for i = 1, 2 do
  local order, bodies, keep = KEYS[i * 2 - 1], KEYS[i * 2], tonumber(ARGV[4 + i])
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
local old = redis.call('HMGET', own, 'tier', 'owner')
redis.call('ZREM', prefix .. 'rank', lead)
if old[1] then redis.call('ZREM', prefix .. 'rank:tier:' .. old[1], lead) end
if old[2] then redis.call('ZREM', prefix .. 'rank:owner:' .. old[2], lead) end
for _, id in ipairs(redis.call('ZRANGE', own .. ':alerts', 0, -1)) do
  redis.call('ZREM', prefix .. 'alerts', id)
  redis.call('HDEL', prefix .. 'alerts:body', id)
end
return redis.call('DEL', own, own .. ':events', own .. ':history', own .. ':alerts',
  own .. ':alerts:body')
"""

# Positions move only within the build of the view that the data went into: after a
# drop or a loss they would otherwise claim data that is gone.
ADVANCE: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if #ARGV > 1 then redis.call('HSET', KEYS[2], unpack(ARGV, 2)) end
return 1
"""
