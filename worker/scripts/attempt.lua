-- Count one solo attempt at a frame, before it is made: the attempt may end the process that makes it.
--
-- The empty HDEL is there for its flag: Redis refuses HINCRBY when out of memory, but not to a script
-- that has written before, and frames must still be settled then or memory never comes back.
--
-- KEYS  attempts
-- ARGV  entry id, by how much (-1 takes an attempt back that was not the frame's fault)
-- Returns the number of attempts.
redis.call('HDEL', KEYS[1], '')
return redis.call('HINCRBY', KEYS[1], ARGV[1], ARGV[2])
