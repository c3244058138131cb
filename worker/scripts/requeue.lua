-- Put one dead letter back into the frames stream, as work.
--
-- Only who removes the letter may add the frame: two operators, or one whose reply was lost and who
-- asks again, requeue it once. It stays counted as a dead letter that once was, so that no counter
-- goes down, and is counted as published once more: published = events + dead + dropped + backlog
-- goes on to hold, and published - requeued is what producers sent.
--
-- KEYS  dead, frames, stats
-- ARGV  letter's id, frame (bytes), stats fields for dead letters' bytes, published and requeued
-- Returns 1, or 0 if the letter is not there (any more).
if not remove_letter(KEYS[1], KEYS[3], ARGV[3], ARGV[1]) then return 0 end
redis.call('XADD', KEYS[2], '*', 'm', ARGV[2])
redis.call('HINCRBY', KEYS[3], ARGV[4], 1)
redis.call('HINCRBY', KEYS[3], ARGV[5], 1)
return 1
