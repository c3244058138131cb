-- Settle the frames of one batch: each leaves the stream exactly once, as an event, as a dead
-- letter or as a counted drop.
--
-- XACK answers 1 to exactly one caller, whoever holds the entry, so it decides who settles: a worker
-- presumed dead that comes back gets 0 and does nothing. It is also the first write, and the script
-- has no "#!lua" line: once a script has written, Redis lets it finish even when out of memory, so
-- the backlog still drains then.
--
-- A letter longer than all letters together may be is kept without its bytes: it would drive out
-- every other one. No frame is that long, so nothing that could be read again is lost.
--
-- KEYS  frames, events, dead, stats, attempts
-- ARGV  group, events kept, now in ns, stats field for dead letters' bytes, dead letters kept, bytes
--       of them kept, ms they are kept, then for every frame five values:
--       entry id, "event" | "dead" | "drop", stats field, event bytes or reason, detail
-- Returns one 1 (settled by us) or 0 (settled before) per frame.
local frames, events, dead, stats, attempts = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local group, keep_events, now_ns, bytes_field = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local keep_dead, keep_bytes, keep_ms = ARGV[5], ARGV[6], ARGV[7]

-- Nil if the entry was trimmed or has no such field.
local function payload_of(entry)
  local payload
  for f = 1, entry and #entry[2] or 0, 2 do
    if entry[2][f] == 'm' then payload = entry[2][f + 1] end
  end
  return payload
end

local settled, buried = {}, false
for i = 8, #ARGV, 5 do
  local id, kind, field, body, detail = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local payload = kind == 'dead' and payload_of(redis.call('XRANGE', frames, id, id)[1])
  if redis.call('XACK', frames, group, id) == 1 then
    redis.call('XDEL', frames, id)
    if kind == 'event' then
      redis.call('XADD', events, 'MAXLEN', '~', keep_events, '*', 'm', body)
    elseif kind == 'dead' then
      local tries = string.match(redis.call('HGET', attempts, id) or '0', '^%d+')
      local letter = { 'reason', body, 'detail', detail, 'attempts', tries, 'frame', id, 'at_ns', now_ns }
      if payload and letter_bytes(letter) + #payload < tonumber(keep_bytes) then
        letter[#letter + 1], letter[#letter + 2] = 'm', payload
      elseif payload then
        letter[#letter + 1], letter[#letter + 2] = 'left_out', tostring(#payload)
      end
      add_letter(dead, stats, bytes_field, letter)
      buried = true
    end
    redis.call('HINCRBY', stats, field, 1)
    settled[#settled + 1] = 1
  else
    settled[#settled + 1] = 0
  end
  -- Also of what another settled: an attempt counted since then would stay for ever.
  redis.call('HDEL', attempts, id)
end
if buried then bound_letters(dead, stats, bytes_field, keep_dead, keep_bytes, keep_ms) end
return settled
