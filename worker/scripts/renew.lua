-- Renew the leases of frames in hand.
--
-- The owner is checked in the same script: a plain XCLAIM with min-idle 0 would steal back a frame
-- that another worker has claimed since. JUSTID keeps the delivery count as it is.
--
-- KEYS  frames
-- ARGV  group, consumer, then entry ids
-- Returns how many are still ours.
local frames, group, consumer = KEYS[1], ARGV[1], ARGV[2]
local ours = 0
for i = 3, #ARGV do
  local id = ARGV[i]
  if #redis.call('XPENDING', frames, group, id, id, 1, consumer) == 1 then
    redis.call('XCLAIM', frames, group, consumer, 0, id, 'JUSTID')
    ours = ours + 1
  end
end
return ours
