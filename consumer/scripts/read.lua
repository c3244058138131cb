-- Read new entries for a member of a group, and count those trimmed before any member saw them.
--
-- The group's entries-read against the stream's entries-added gives the exact number. Redis counts
-- entries-read itself, but some versions let it fall behind at a trimmed gap and all of them guess
-- near deleted entries, so it is set right here, in the same moment.
--
-- KEYS  events
-- ARGV  group, member, most entries
-- Returns nil without a group, else {entries, missed, 1 if missed is exact or 0 if it is the least,
-- the group's last delivered id}.
local key, group, member, count = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])

local function map(reply)
  local result = {}
  for i = 1, #reply, 2 do result[reply[i]] = reply[i + 1] end
  return result
end

local groups = redis.pcall('XINFO', 'GROUPS', key)
if groups.err then
  if string.find(groups.err, 'no such key', 1, true) then return false end
  return groups
end
local state
for _, row in ipairs(groups) do
  local candidate = map(row)
  if candidate.name == group then state = candidate end
end
if not state then return false end

local stream = map(redis.call('XINFO', 'STREAM', key))
local added, length = stream['entries-added'], stream.length
local removed, delivered, position = added - length, state['last-delivered-id'],
  state['entries-read']
if not position and delivered == '0-0' then position = 0 end

local missed, exact, gap = 0, 1, false
if not position then
  -- A group made elsewhere, or after an entry whose number nobody knows.
  exact = 0
  gap = removed > 0 and stream['last-generated-id'] ~= delivered
    and #redis.call('XRANGE', key, '-', delivered, 'COUNT', 1) == 0
  if gap then missed = 1 end
end

local reply = redis.call('XREADGROUP', 'GROUP', group, member, 'COUNT', count, 'STREAMS', key, '>')
local entries = reply and reply[1][2] or {}
local at_end = #entries < count
if position then
  -- At the end single deleted entries show as well; before it only a gap right where we stood.
  missed = at_end and added - position - #entries or removed - position
  if missed < 0 then missed = 0 end
end

local last = #entries > 0 and entries[#entries][1] or delivered
local entries_read
if at_end then
  entries_read = added
elseif position or gap then
  entries_read = math.max(position or 0, removed) + #entries
end
if entries_read and (#entries > 0 or entries_read ~= position) then
  redis.call('XGROUP', 'SETID', key, group, last, 'ENTRIESREAD', entries_read)
end
return {entries, missed, exact, last}
