-- Appends signals to a partition's stream of smoothed events, for the one process that may.
-- KEYS: the stream, the lease. ARGV: our token, the lease in ms, most entries, then the messages.
-- Returns 0, and adds nothing, if somebody else holds the lease. With no message it only renews.
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
for place = 4, #ARGV do
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'm', ARGV[place])
end
return 1
