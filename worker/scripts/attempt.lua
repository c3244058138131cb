-- Count one solo attempt at a frame, before it is made: the attempt may end the process that makes it.
--
-- Only while the frame is pending: settling it has forgotten its attempts, and a worker that was too
-- slow would leave a new count behind for ever.
--
-- The empty HDEL is there for its flag: Redis refuses HINCRBY when out of memory, but not to a script
-- that has written before, and frames must still be settled then or memory never comes back.
--
-- KEYS  attempts, frames
-- ARGV  entry id, by how much (-1 takes an attempt back that was not the frame's fault), group
-- Returns the number of attempts; 0 for a frame that is not pending.
local held = redis.pcall('XPENDING', KEYS[2], ARGV[3], ARGV[1], ARGV[1], 1)
if held.err and not string.find(held.err, 'NOGROUP', 1, true) then return held end
if held.err or #held == 0 then return 0 end
redis.call('HDEL', KEYS[1], '')
return redis.call('HINCRBY', KEYS[1], ARGV[1], ARGV[2])
