-- A worker that ends takes its name off the group, unless frames are still pending under it:
-- deleting such a consumer would silently drop them (they are claimed by others once idle). It also
-- hands over the reporting of shared gauges, or they would be missing until its time runs out.
--
-- KEYS  frames, reporter
-- ARGV  group, consumer
if redis.call('GET', KEYS[2]) == ARGV[2] then redis.call('DEL', KEYS[2]) end
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) == 0 then
  redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
end
return 0
