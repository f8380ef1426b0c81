"""The Lua scripts of `bot.history`, whose docstring lays out the keys: each a change of several at once.

A script that fails keeps what it did before: what leads to a history comes first, and leads nowhere
where the rest fails.
"""

APPEND = """
redis.call('ZADD', KEYS[4], 'GT', ARGV[1], ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', ARGV[5])
redis.call('SADD', KEYS[2], ARGV[3])
-- What leads to the histories outlives them all: some may have been given more days than this one.
for i = 2, 5 do
  if redis.call('TTL', KEYS[i]) < ARGV[1] - ARGV[5] then redis.call('EXPIREAT', KEYS[i], ARGV[1]) end
end
for i = 6, #ARGV do
  if not redis.call('LPOS', KEYS[1], ARGV[i]) then redis.call('RPUSH', KEYS[1], ARGV[i]) end
end
redis.call('LTRIM', KEYS[1], -tonumber(ARGV[4]), -1)
redis.call('EXPIREAT', KEYS[1], ARGV[1])
"""
CHOOSE = """
redis.call('ZADD', KEYS[2], 'GT', ARGV[1], ARGV[2])
if redis.call('TTL', KEYS[2]) < ARGV[1] - ARGV[4] then redis.call('EXPIREAT', KEYS[2], ARGV[1]) end
redis.call('SET', KEYS[1], ARGV[3])
redis.call('EXPIREAT', KEYS[1], ARGV[1])
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
for _, old in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if string.sub(old, 1, #ARGV[2] + 1) == ARGV[2] .. ':' then
    local new = ARGV[3] .. string.sub(old, #ARGV[2] + 1)
    local from, to = ARGV[1] .. old .. ':', ARGV[1] .. new .. ':'
    redis.call('ZADD', KEYS[1], math.max(redis.call('ZSCORE', KEYS[1], old),
      redis.call('ZSCORE', KEYS[1], new) or 0), new)
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
    redis.call('ZREM', KEYS[1], old)
  end
end
local filter, moved = ARGV[1] .. ARGV[2] .. ':0:filter', ARGV[1] .. ARGV[3] .. ':0:filter'
if redis.call('EXISTS', filter) == 1 and redis.call('RENAMENX', filter, moved) == 0 then redis.call('DEL', filter) end
"""
TRY = """
-- Does on scratch keys what the history does, up to what the server refuses; returns that and its words.
-- Nobody sees the keys, since it is one script; what removes them is tried before there are many.
local function refused()
  for _, command in ipairs({
    -- First what takes memory: a full server is not asked again once a script has written.
    {'ZADD', KEYS[1], 'GT', 1, 'x'}, {'EXPIREAT', KEYS[1], ARGV[1]}, {'DEL', KEYS[5]}, {'TTL', KEYS[1]},
    {'ZSCORE', KEYS[1], 'x'}, {'ZRANGE', KEYS[1], 0, -1},
    {'ZREM', KEYS[1], 'x'}, {'ZREMRANGEBYSCORE', KEYS[1], '-inf', 1},
    {'RPUSH', KEYS[2], 'x'}, {'LPUSH', KEYS[2], 'x'}, {'LPOS', KEYS[2], 'x'}, {'LRANGE', KEYS[2], 0, -1},
    {'LREM', KEYS[2], 0, 'y'}, {'LTRIM', KEYS[2], -1, -1},
    {'SADD', KEYS[3], 'x'}, {'SMEMBERS', KEYS[3]},
    {'SET', KEYS[4], 'x', 'EX', 60}, {'GET', KEYS[4]}, {'EXISTS', KEYS[4]}, {'RENAMENX', KEYS[4], KEYS[5]}
  }) do
    local reply = redis.pcall(unpack(command))
    if type(reply) == 'table' and reply.err then return command[1] .. ': ' .. reply.err end
  end
end
local words = refused()
redis.pcall('DEL', unpack(KEYS))
return words
"""
