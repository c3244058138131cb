-- Take or renew the right to report this partition's shared gauges: one worker at a time, or a sum
-- over workers would multiply them.
--
-- KEYS  reporter
-- ARGV  consumer, time to live in ms
-- Returns 1 if `consumer` reports.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
