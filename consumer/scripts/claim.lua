-- Take over the entries that any member holds for too long: it is presumed dead.
--
-- Not XAUTOCLAIM: that one also drops trimmed entries from members who are alive and have them in
-- memory, and nobody could tell which of them were missed.
--
-- Members that were killed leave their names in the group, a new one each if nobody named them. One
-- that has nothing pending and was silent for long is taken off it: should it live after all, its
-- next read brings the name back. So is the name under which returned entries wait, once empty.
--
-- KEYS  events
-- ARGV  group, member, idle ms, forget a silent member after this many ms
-- Returns {entries taken over, entries that are no longer in the stream}.
local key, group, member, idle_ms = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local taken, lost = 0, 0
while true do
  local idle = redis.call('XPENDING', key, group, 'IDLE', idle_ms, '-', '+', 1000)
  if #idle == 0 then break end
  local claim = {'XCLAIM', key, group, member, idle_ms}
  for _, row in ipairs(idle) do claim[#claim + 1] = row[1] end
  claim[#claim + 1] = 'JUSTID'
  -- XCLAIM makes them not idle, and forgets those that were trimmed.
  local claimed = #redis.call(unpack(claim))
  taken, lost = taken + claimed, lost + #idle - claimed
end
for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', key, group)) do
  local other = {}
  for i = 1, #row, 2 do other[row[i]] = row[i + 1] end
  if other.pending == 0 and other.idle > tonumber(ARGV[4]) and other.name ~= member then
    redis.call('XGROUP', 'DELCONSUMER', key, group, other.name)
  end
end
return {taken, lost}
