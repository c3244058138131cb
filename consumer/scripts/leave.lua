-- Hand what a member has not acknowledged to a waiting name, as if it had been idle long enough to
-- be taken over, and take the member off the group.
--
-- KEYS  events
-- ARGV  group, member, waiting name, idle ms, 1 to keep the member's name
-- Returns how many of the entries are no longer in the stream.
local key, group, member, waiting, idle_ms = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local lost = 0
while true do
  local mine = redis.call('XPENDING', key, group, '-', '+', 1000, member)
  if #mine == 0 then break end
  local claim = {'XCLAIM', key, group, waiting, 0}
  for _, row in ipairs(mine) do claim[#claim + 1] = row[1] end
  for _, word in ipairs({'IDLE', idle_ms, 'JUSTID'}) do claim[#claim + 1] = word end
  -- XCLAIM forgets entries that were trimmed.
  lost = lost + #mine - #redis.call(unpack(claim))
end
if ARGV[5] ~= '1' then
  -- Nothing is pending in this name now: deleting it with entries would lose them.
  redis.call('XGROUP', 'DELCONSUMER', key, group, member)
end
return lost
