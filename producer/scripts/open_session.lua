-- Open a session of a source: from now on only this one may publish.
--
-- The epoch rises with every session, so whoever published before is refused by publish.lua from
-- this moment on (one camera, one producer). It is raised here, in Redis, because two producers
-- cannot agree on a number between themselves.
--
-- A client whose reply got lost calls again with the same session: it gets the same epoch, and the
-- stream no second record.
--
-- KEYS  fence, events
-- ARGV  source, session, source record (bytes), now in ns, events kept
-- Returns the epoch.
local epoch, session = 0, nil
local fence = redis.call('HGET', KEYS[1], ARGV[1])
if fence then
  epoch, session = string.match(fence, '^(%d+):([^:]*):')
  if session == ARGV[2] then return tonumber(epoch) end
  epoch = tonumber(epoch)
end
epoch = epoch + 1
redis.call('HSET', KEYS[1], ARGV[1],
  string.format('%.0f:%s:-1:started:%s', epoch, ARGV[2], ARGV[4]))
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*', 'm', ARGV[3])
return epoch
