-- Take over frames whose worker let its lease run out.
--
-- XAUTOCLAIM drops entries that somebody trimmed from the stream out of the pending list and names
-- them once, here and now: they are counted in the same script, or a crash would lose the count, and
-- their attempts are forgotten, or nobody ever would.
--
-- Workers that were killed leave their names in the group. One that has nothing pending and was not
-- heard of for long is taken off it; should it live after all, its next read brings the name back.
--
-- KEYS  frames, stats, attempts
-- ARGV  group, consumer, lease in ms, start id, how many, field for trimmed, field for redelivered,
--       forget a silent consumer after this many ms
-- Returns {next start id, entries}.
local frames, group = KEYS[1], ARGV[1]
local reply = redis.call('XAUTOCLAIM', frames, group, ARGV[2], ARGV[3], ARGV[4], 'COUNT', ARGV[5])
if reply[3] and #reply[3] > 0 then
  redis.call('HINCRBY', KEYS[2], ARGV[6], #reply[3])
  redis.call('HDEL', KEYS[3], unpack(reply[3]))
end
if #reply[2] > 0 then redis.call('HINCRBY', KEYS[2], ARGV[7], #reply[2]) end
for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', frames, group)) do
  local consumer = {}
  for i = 1, #row, 2 do consumer[row[i]] = row[i + 1] end
  if consumer.pending == 0 and consumer.idle > tonumber(ARGV[8]) and consumer.name ~= ARGV[2] then
    redis.call('XGROUP', 'DELCONSUMER', frames, group, consumer.name)
  end
end
return { reply[1], reply[2] }
