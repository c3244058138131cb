-- Remove dead letters for good.
--
-- KEYS  dead, stats
-- ARGV  stats field for dead letters' bytes, then ids
-- Returns one 1 (removed by us) or 0 (not there) per id.
local removed = {}
for i = 2, #ARGV do
  removed[i - 1] = remove_letter(KEYS[1], KEYS[2], ARGV[1], ARGV[i]) and 1 or 0
end
return removed
