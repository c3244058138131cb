-- Open a session of a source: from now on only this one may publish.
--
-- The epoch rises with every session, so whoever published before is refused by publish.lua from
-- this moment on (one camera, one producer). It is raised here, in Redis, because two producers
-- cannot agree on a number between themselves.
--
-- A client whose reply got lost calls again with the same session: it gets the same epoch, and the
-- stream no second record.
--
-- Sources come and go, a file is one, and their fences would pile up: where there are many, a few
-- picked at random are looked at, so that the work of one call is bounded. A closed session needs
-- its fence only against copies of frames that are still on their way, so an hour is plenty. One that
-- was silent for a week is presumed dead; should it live after all, its next frame gets "missing" and
-- begins a new session, as after any loss of data.
--
-- KEYS  fence, events
-- ARGV  source, session, source record (bytes), now in ns, events kept
-- Returns the epoch.
local MANY, LOOKS = 256, 20
local CLOSED_NS, SILENT_NS = 3600 * 1e9, 7 * 24 * 3600 * 1e9

local function forget_old(fences, now_ns)
  if redis.call('HLEN', fences) <= MANY then return end
  local picked = redis.call('HRANDFIELD', fences, LOOKS, 'WITHVALUES')
  for i = 1, #picked, 2 do
    local state, at_ns = string.match(picked[i + 1], '^%d+:[^:]*:%-?%d+:(%a+):(%d+)$')
    local silent_ns = now_ns - (tonumber(at_ns) or now_ns)
    if silent_ns > (state == 'started' and SILENT_NS or CLOSED_NS) then
      redis.call('HDEL', fences, picked[i])
    end
  end
end

local epoch, session = 0, nil
local fence = redis.call('HGET', KEYS[1], ARGV[1])
if fence then
  epoch, session = string.match(fence, '^(%d+):([^:]*):')
  if session == ARGV[2] then return tonumber(epoch) end
  epoch = tonumber(epoch)
end
epoch = epoch + 1
redis.call('HSET', KEYS[1], ARGV[1],
  string.format('%.0f:%s:-1:started:%s', epoch, ARGV[2], ARGV[4]))
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*', 'm', ARGV[3])
forget_old(KEYS[1], tonumber(ARGV[4]))
return epoch
