-- Read entries after an id, and the state of their stream, of the same moment.
--
-- A script and not a MULTI: when Redis is out of memory it refuses to queue even reads in a
-- transaction, and the events that are there must still be read then.
--
-- KEYS  events
-- ARGV  id to read after, most entries (0 = none)
-- Returns {entries, entries ever added, length, first id, newest id}, or nil when nothing was ever
-- published.
local key, after, count = KEYS[1], ARGV[1], tonumber(ARGV[2])
if redis.call('EXISTS', key) == 0 then return false end
local reply = redis.call('XINFO', 'STREAM', key)
local info = {}
for i = 1, #reply, 2 do info[reply[i]] = reply[i + 1] end
local read = count > 0 and redis.call('XREAD', 'COUNT', count, 'STREAMS', key, after)
local first = info['first-entry']
return {
  read and read[1][2] or {}, info['entries-added'], info.length,
  first and first[1] or '0-0', info['last-generated-id'],
}
