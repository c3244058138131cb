-- Renew the leases of frames in hand.
--
-- The owner is checked in the same script: a plain XCLAIM with min-idle 0 would steal back a frame
-- that another worker has claimed since. JUSTID keeps the delivery count as it is. XCLAIM drops an
-- entry that somebody trimmed from the stream out of the pending list without a word: it is counted
-- and its attempts are forgotten here, or nobody would.
--
-- KEYS  frames, stats, attempts
-- ARGV  group, consumer, field for trimmed, then entry ids
-- Returns how many are still ours.
local frames, group, consumer = KEYS[1], ARGV[1], ARGV[2]
local ours = 0
for i = 4, #ARGV do
  local id = ARGV[i]
  if #redis.call('XPENDING', frames, group, id, id, 1, consumer) == 1 then
    if #redis.call('XCLAIM', frames, group, consumer, 0, id, 'JUSTID') == 1 then
      ours = ours + 1
    else
      redis.call('HINCRBY', KEYS[2], ARGV[3], 1)
      redis.call('HDEL', KEYS[3], id)
    end
  end
end
return ours
