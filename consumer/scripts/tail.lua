-- Entries after an id, and the stream they lie in, of the same moment.
--
-- A script and not a MULTI, which redis-py does not have in a cluster as it has it on one server,
-- and which Redis refuses to queue when out of memory.
--
-- KEYS  events
-- ARGV  id to read after, most entries (0 = only the state)
-- Returns {entries, entries ever added, length, first id, newest id}; no entries and zeros for a
-- stream that does not exist.
local key, after, count = KEYS[1], ARGV[1], tonumber(ARGV[2])
local info = redis.pcall('XINFO', 'STREAM', key)
if info.err then
  if string.find(info.err, 'no such key', 1, true) then return {{}, 0, 0, '0-0', '0-0'} end
  return info
end
local state = {}
for i = 1, #info, 2 do state[info[i]] = info[i + 1] end
local first = state['first-entry']
local entries = {}
if count > 0 then entries = redis.call('XRANGE', key, '(' .. after, '+', 'COUNT', count) end
return {
  entries, state['entries-added'], state.length, first and first[1] or '0-0',
  state['last-generated-id'],
}
