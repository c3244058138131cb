-- Keep the dead letters within their bounds while no new ones come: a quiet system's grow old, too.
--
-- KEYS  dead, stats
-- ARGV  stats field for bytes, dead letters kept, bytes of them kept, ms they are kept
-- Returns how many letters went.
return bound_letters(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], ARGV[4])
