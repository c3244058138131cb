-- Create a consumer group on an events stream, with its count of entries read, which Redis would
-- leave unknown: `read.lua` needs it to tell how many entries were trimmed unread.
--
-- KEYS  events
-- ARGV  group, start: "now" | "beginning" | an entry id to start after
-- Returns 1 if the group was created, 0 if it exists.
local key, group, start = KEYS[1], ARGV[1], ARGV[2]
local added, length = 0, 0
local info = redis.pcall('XINFO', 'STREAM', key)
if info.err then
  if not string.find(info.err, 'no such key', 1, true) then return info end
else
  for i = 1, #info, 2 do
    if info[i] == 'entries-added' then added = info[i + 1] end
    if info[i] == 'length' then length = info[i + 1] end
  end
end
local entries_read = -1  -- unknown
if start == 'beginning' then
  start, entries_read = '0-0', added - length
elseif start == '0-0' then
  entries_read = 0
elseif start == 'now' or #redis.call('XRANGE', key, '(' .. start, '+', 'COUNT', 1) == 0 then
  -- Also for an id after everything there is: it is from before Redis lost data.
  start, entries_read = '$', added
end
local made = redis.pcall('XGROUP', 'CREATE', key, group, start, 'MKSTREAM',
  'ENTRIESREAD', entries_read)
if made.err then
  if string.find(made.err, 'BUSYGROUP', 1, true) then return 0 end
  return made
end
return 1
