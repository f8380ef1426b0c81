"""The Lua scripts of `bot.history`, whose docstring lays out the keys: each a change of several at once."""

APPEND = """
for i = 6, #ARGV do
  if not redis.call('LPOS', KEYS[1], ARGV[i]) then redis.call('RPUSH', KEYS[1], ARGV[i]) end
end
redis.call('LTRIM', KEYS[1], -tonumber(ARGV[4]), -1)
redis.call('SADD', KEYS[2], ARGV[3])
redis.call('EXPIREAT', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[4], 'GT', ARGV[1], ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', ARGV[5])
-- What leads to the histories outlives them all: some may have been given more days than this one.
for i = 2, 5 do
  if redis.call('TTL', KEYS[i]) < ARGV[1] - ARGV[5] then redis.call('EXPIREAT', KEYS[i], ARGV[1]) end
end
"""
CHOOSE = """
redis.call('SET', KEYS[1], ARGV[3])
redis.call('EXPIREAT', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[2], 'GT', ARGV[1], ARGV[2])
if redis.call('TTL', KEYS[2]) < ARGV[1] - ARGV[4] then redis.call('EXPIREAT', KEYS[2], ARGV[1]) end
"""
FIRST_TIME = """
local first = redis.call('GET', KEYS[1])
if not first then redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) end
return (not first or first == ARGV[1]) and 1 or 0
"""
RESET = """
for _, persona in ipairs(redis.call('SMEMBERS', KEYS[1])) do redis.call('DEL', ARGV[1] .. persona) end
redis.call('DEL', KEYS[1])
"""
MIGRATE = """
local filter, moved = ARGV[1] .. ARGV[2] .. ':0:filter', ARGV[1] .. ARGV[3] .. ':0:filter'
if redis.call('EXISTS', filter) == 1 and redis.call('RENAMENX', filter, moved) == 0 then redis.call('DEL', filter) end
for _, old in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if string.sub(old, 1, #ARGV[2] + 1) == ARGV[2] .. ':' then
    local new = ARGV[3] .. string.sub(old, #ARGV[2] + 1)
    local from, to = ARGV[1] .. old .. ':', ARGV[1] .. new .. ':'
    redis.call('ZADD', KEYS[1], math.max(redis.call('ZSCORE', KEYS[1], old),
      redis.call('ZSCORE', KEYS[1], new) or 0), new)
    redis.call('ZREM', KEYS[1], old)
    local expiry = redis.call('ZSCORE', KEYS[1], new)
    for _, persona in ipairs(redis.call('SMEMBERS', from .. 'personas')) do
      local key = to .. 'history:' .. persona
      local turns = redis.call('LRANGE', from .. 'history:' .. persona, 0, -1)
      for i = #turns, 1, -1 do redis.call('LPUSH', key, turns[i]) end
      redis.call('LTRIM', key, -tonumber(ARGV[4]), -1)
      redis.call('EXPIREAT', key, expiry)
      redis.call('SADD', to .. 'personas', persona)
      redis.call('DEL', from .. 'history:' .. persona)
    end
    redis.call('EXPIREAT', to .. 'personas', expiry)
    if redis.call('EXISTS', from .. 'persona') == 1 then redis.call('RENAMENX', from .. 'persona', to .. 'persona') end
    redis.call('EXPIREAT', to .. 'persona', expiry)
    redis.call('DEL', from .. 'personas', from .. 'persona')
  end
end
"""
