-- All counts of a partition at one moment.
--
-- A script and not a MULTI: when Redis is out of memory it refuses to queue even reads in a
-- transaction, and that is when an operator looks.
--
-- KEYS  stats, fence, frames, dead, events
-- ARGV  workers' group
-- Returns stats, fence (flat lists), three lengths, pending, {name, pending, idle in ms} per worker.
local pending, workers = 0, {}
if redis.call('EXISTS', KEYS[3]) == 1 then
  for _, row in ipairs(redis.call('XINFO', 'GROUPS', KEYS[3])) do
    local group = {}
    for i = 1, #row, 2 do group[row[i]] = row[i + 1] end
    if group.name == ARGV[1] then
      pending = group.pending
      for _, fields in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[3], ARGV[1])) do
        local worker = {}
        for i = 1, #fields, 2 do worker[fields[i]] = fields[i + 1] end
        workers[#workers + 1] = { worker.name, worker.pending, worker.idle }
      end
    end
  end
end
return {
  redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]),
  redis.call('XLEN', KEYS[3]), redis.call('XLEN', KEYS[4]), redis.call('XLEN', KEYS[5]),
  pending, workers,
}
