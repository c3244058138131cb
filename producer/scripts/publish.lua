-- Publish one frame of an open session, exactly once.
--
-- A client that did not get its reply repeats the call, and a slow network may deliver an old copy
-- later still. The fence holds the session's last seq, so a repeat adds nothing; it also holds
-- epoch and session, so a producer that was replaced, or whose session is closed, adds nothing
-- either. A fence that is gone, or behind by more than this frame, means that Redis lost data (a
-- flush, a restart without persistence, a replica that took over): only a new session is honest
-- then, because nobody knows which frames of this one are left.
--
-- The frames stream holds exactly the frames not yet settled, so its length is the backlog, and the
-- backlog is bounded here. "lossless": nothing changes, the caller waits. "live": the oldest frames
-- that nobody has read go, each counted. Frames after the group's last delivered id are unread;
-- those before it are in a worker's hands, and taking one away would break that worker's settling.
-- With nothing unread the new frame is refused instead. No exact trim (XTRIM) does this: it would
-- take read frames first.
--
-- All refusals come before the first write, and the first write of an accepted frame into a stream
-- with room (HSET) is one that Redis refuses when out of memory: the script changes everything or
-- nothing. There is no "#!lua" line: with one, Redis refuses the whole script when out of memory,
-- also the live case that frees an old frame for the new one.
--
-- KEYS  frames, fence, stats
-- ARGV  source, session, epoch, seq, frame (bytes), mode, most frames in the stream, workers' group,
--       now in ns, stats fields for published, dropped and refused
-- Returns "ok", "repeated", "refused", "full", "missing", "superseded" or "closed".
local frames, fences, stats = KEYS[1], KEYS[2], KEYS[3]
local source, session, epoch, seq, payload = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local mode, limit, group, now_ns = ARGV[6], tonumber(ARGV[7]), ARGV[8], ARGV[9]
local published, dropped, refused = ARGV[10], ARGV[11], ARGV[12]

-- How many frames a live producer may remove for one that it adds. More than one, so that a backlog
-- left by a producer with a higher limit shrinks; few, because Redis does nothing else meanwhile.
local MOST_DROPS = 16

local fence = redis.call('HGET', fences, source)
if not fence then return 'missing' end
local known_epoch, known_session, last_seq, state =
  string.match(fence, '^(%d+):([^:]*):(%-?%d+):(%a+):')
if known_epoch ~= epoch or known_session ~= session then return 'superseded' end
if tonumber(seq) <= tonumber(last_seq) then return 'repeated' end
if state ~= 'started' then return 'closed' end
if tonumber(seq) > tonumber(last_seq) + 1 then return 'missing' end

local advanced = string.format('%s:%s:%s:started:%s', epoch, session, seq, now_ns)
local excess = redis.call('XLEN', frames) - limit + 1
if excess > 0 then
  if mode ~= 'live' then return 'full' end
  local after = '-'
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', frames)) do
    local described = {}
    for i = 1, #info, 2 do described[info[i]] = info[i + 1] end
    if described['name'] == group then after = '(' .. described['last-delivered-id'] end
  end
  local unread = redis.call('XRANGE', frames, after, '+', 'COUNT', math.min(excess, MOST_DROPS))
  if #unread == 0 then
    redis.call('HSET', fences, source, advanced)
    redis.call('HINCRBY', stats, refused, 1)
    return 'refused'
  end
  for _, entry in ipairs(unread) do redis.call('XDEL', frames, entry[1]) end
  redis.call('HINCRBY', stats, dropped, #unread)
end
redis.call('HSET', fences, source, advanced)
redis.call('XADD', frames, '*', 'm', payload)
redis.call('HINCRBY', stats, published, 1)
return 'ok'
