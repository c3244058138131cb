-- Settle the frames of one batch: each leaves the stream exactly once, as an event, as a dead
-- letter or as a counted drop.
--
-- XACK answers 1 to exactly one caller, whoever holds the entry, so it decides who settles: a worker
-- presumed dead that comes back gets 0 and does nothing. It is also the first write, and the script
-- has no "#!lua" line: once a script has written, Redis lets it finish even when out of memory, so
-- the backlog still drains then.
--
-- KEYS  frames, events, dead, stats, attempts
-- ARGV  group, events kept, dead letters kept, now in ns, then for every frame five values:
--       entry id, "event" | "dead" | "drop", stats field, event bytes or reason, detail
-- Returns one 1 (settled by us) or 0 (settled before) per frame.
local frames, events, dead, stats, attempts = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local group, keep_events, keep_dead, now_ns = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local settled = {}
for i = 5, #ARGV, 5 do
  local id, kind, field, body, detail = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local original = kind == 'dead' and redis.call('XRANGE', frames, id, id)[1]
  if redis.call('XACK', frames, group, id) == 1 then
    redis.call('XDEL', frames, id)
    if kind == 'event' then
      redis.call('XADD', events, 'MAXLEN', '~', keep_events, '*', 'm', body)
    elseif kind == 'dead' then
      local bytes = ''
      if original then
        for f = 1, #original[2], 2 do
          if original[2][f] == 'm' then bytes = original[2][f + 1] end
        end
      end
      local tries = redis.call('HGET', attempts, id) or '0'
      redis.call('XADD', dead, 'MAXLEN', keep_dead, '*', 'm', bytes, 'reason', body,
        'detail', detail, 'attempts', tries, 'frame', id, 'at_ns', now_ns)
    end
    redis.call('HINCRBY', stats, field, 1)
    redis.call('HDEL', attempts, id)
    settled[#settled + 1] = 1
  else
    settled[#settled + 1] = 0
  end
end
return settled
