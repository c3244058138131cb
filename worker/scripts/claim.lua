-- Take over frames whose worker let its lease run out.
--
-- XAUTOCLAIM drops entries that somebody trimmed from the stream out of the pending list and names
-- them once, here and now: they are counted in the same script, or a crash would lose the count.
--
-- KEYS  frames, stats
-- ARGV  group, consumer, lease in ms, start id, how many, field for trimmed, field for redelivered
-- Returns {next start id, entries}.
local reply = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], 'COUNT', ARGV[5])
if reply[3] and #reply[3] > 0 then redis.call('HINCRBY', KEYS[2], ARGV[6], #reply[3]) end
if #reply[2] > 0 then redis.call('HINCRBY', KEYS[2], ARGV[7], #reply[2]) end
return { reply[1], reply[2] }
