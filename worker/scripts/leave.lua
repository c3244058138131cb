-- A worker that ends takes its name off the group, unless frames are still pending under it:
-- deleting such a consumer would silently drop them (they are claimed by others once idle).
--
-- KEYS  frames
-- ARGV  group, consumer
if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) == 0 then
  return redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
end
return -1
