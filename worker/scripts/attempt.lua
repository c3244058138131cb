-- Count one solo attempt at a frame, before it is made: the attempt may end the process that makes it.
--
-- The count carries the token of the last attempt: a call whose reply got lost is repeated with the
-- same one and counts once, or a bad network would bury frames that nobody ever tried.
--
-- Only while the frame is pending: settling it has forgotten its attempts, and a worker that was too
-- slow would leave a new count behind for ever.
--
-- The empty HDEL is there for its flag: Redis refuses HSET when out of memory, but not to a script
-- that has written before, and frames must still be settled then or memory never comes back.
--
-- KEYS  attempts, frames
-- ARGV  entry id, token of this attempt ('' takes one back that was not the frame's fault), group
-- Returns the number of attempts; 0 for a frame that is not pending.
local held = redis.pcall('XPENDING', KEYS[2], ARGV[3], ARGV[1], ARGV[1], 1)
if held.err and not string.find(held.err, 'NOGROUP', 1, true) then return held end
if held.err or #held == 0 then return 0 end
local count, last = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '0', '^(%d+):?(.*)$')
if ARGV[2] ~= '' and last == ARGV[2] then return tonumber(count) end
count = math.max(0, tonumber(count) + (ARGV[2] == '' and -1 or 1))
redis.call('HDEL', KEYS[1], '')
redis.call('HSET', KEYS[1], ARGV[1], count .. ':' .. ARGV[2])
return count
