-- Close a session: the source ended, or went offline.
--
-- Fenced like publishing, and a repeat after a lost reply adds no second record.
--
-- The record says how many frames the session has, so that a reader knows when it has them all. The
-- fence knows that better than the caller, whose last publish may have lost its reply: when they
-- differ, nothing changes and the caller gets the number to write.
--
-- KEYS  fence, events
-- ARGV  source, session, epoch, state, frames in the record, record (bytes), now in ns, events kept
-- Returns -1 (closed, now or before), -2 (missing), -3 (superseded), or the right number of frames.
local fence = redis.call('HGET', KEYS[1], ARGV[1])
if not fence then return -2 end
local epoch, session, last_seq, state = string.match(fence, '^(%d+):([^:]*):(%-?%d+):(%a+):')
if epoch ~= ARGV[3] or session ~= ARGV[2] then return -3 end
if state ~= 'started' then return -1 end
local frames = tonumber(last_seq) + 1
if frames ~= tonumber(ARGV[5]) then return frames end
redis.call('HSET', KEYS[1], ARGV[1],
  string.format('%s:%s:%s:%s:%s', epoch, session, last_seq, ARGV[4], ARGV[7]))
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[8], '*', 'm', ARGV[6])
return -1
