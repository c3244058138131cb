-- Publish one frame of an open session, exactly once.
--
-- A client that did not get its reply repeats the call, and a slow network may deliver an old copy
-- later still. The fence holds the session's last seq, so a repeat adds nothing; it also holds
-- epoch and session, so a producer that was replaced, or whose session is closed, adds nothing
-- either. A fence that is gone, or of an older epoch, or behind by more than this frame, means that
-- Redis lost data (a flush, a restart without persistence, a replica that took over): only a new
-- session is honest then, because nobody knows which frames of this one are left.
--
-- The frames stream holds exactly the frames not yet settled, so its length is the backlog, and the
-- backlog is bounded here. "lossless": nothing changes, the caller waits. "live": the oldest live
-- frames that nobody has read go, each counted. A live frame is one with `max_age_ns`; a frame
-- without it, and an entry that is no frame, is another producer's to keep. Frames after the group's
-- last delivered id are unread; those before it are in a worker's hands, and taking one away would
-- break that worker's settling. With nothing to drop the new frame is refused instead. No exact trim
-- (XTRIM) does this: it would take read frames first.
--
-- All refusals come before the first write, and the first write of an accepted frame into a stream
-- with room (HSET) is one that Redis refuses when out of memory: the script changes everything or
-- nothing. There is no "#!lua" line: with one, Redis refuses the whole script when out of memory,
-- also the live case that frees an old frame for the new one.
--
-- KEYS  frames, fence, stats
-- ARGV  source, session, epoch, seq, frame (bytes), mode, most frames in the stream, workers' group,
--       now in ns, stats fields for published, dropped and refused
-- Returns the new entry's id, or "repeated", "refused", "full", "missing", "superseded" or "closed".
local frames, fences, stats = KEYS[1], KEYS[2], KEYS[3]
local source, session, epoch, seq, payload = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local mode, limit, group, now_ns = ARGV[6], tonumber(ARGV[7]), ARGV[8], ARGV[9]
local published, dropped, refused = ARGV[10], ARGV[11], ARGV[12]

-- How many frames a live producer may remove for one that it adds. More than one, so that a backlog
-- left by a producer with a higher limit shrinks; few, because Redis does nothing else meanwhile.
local MOST_DROPS = 16

-- How many unread frames are looked at in search of live ones, and how many are fetched at a time:
-- the first few are enough unless a lossless source shares the stream.
local MOST_LOOKS, LOOKS = 64, 4

-- A frame's msgpack map is walked by hand, and only its top level: Redis's cmsgpack does not know the
-- type of the picture, `bin`. Bytes of the values that have a fixed size, and of the lengths of bin
-- and str; anything else is in no frame.
local SIZES = {
  [0xc0] = 0, [0xc2] = 0, [0xc3] = 0, [0xca] = 4, [0xcb] = 8, [0xcc] = 1, [0xcd] = 2, [0xce] = 4,
  [0xcf] = 8, [0xd0] = 1, [0xd1] = 2, [0xd2] = 4, [0xd3] = 8,
}
local LENGTHS = { [0xc4] = 1, [0xc5] = 2, [0xc6] = 4, [0xd9] = 1, [0xda] = 2, [0xdb] = 4 }
local NIL = 0xc0

-- Where the content of the value at `at` begins and what follows it; nil if this is no such value.
local function span(data, at)
  local kind = string.byte(data, at)
  if not kind then return nil end
  if kind < 0x80 or kind >= 0xe0 then return at + 1, at + 1 end
  if kind >= 0xa0 and kind < 0xc0 then return at + 1, at + 1 + kind - 0xa0 end
  if SIZES[kind] then return at + 1, at + 1 + SIZES[kind] end
  if not LENGTHS[kind] then return nil end
  local start, length = at + 1 + LENGTHS[kind], 0
  for i = at + 1, start - 1 do length = length * 256 + (string.byte(data, i) or 0) end
  return start, start + length
end

local function has_max_age(data)
  local kind, at = string.byte(data, 1), 2
  if not kind or kind < 0x80 or kind > 0x8f then return false end
  for _ = 1, kind - 0x80 do
    local start, value = span(data, at)
    if not start then return false end
    local is_it = string.sub(data, start, value - 1) == 'max_age_ns'
    start, at = span(data, value)
    if not start then return false end
    if is_it then return string.byte(data, value) ~= NIL and at <= #data + 1 end
  end
  return false
end

local function is_droppable(fields)
  return fields[1] == 'm' and has_max_age(fields[2])
end

local fence = redis.call('HGET', fences, source)
if not fence then return 'missing' end
local known_epoch, known_session, last_seq, state =
  string.match(fence, '^(%d+):([^:]*):(%-?%d+):(%a+):')
if tonumber(known_epoch) < tonumber(epoch) then return 'missing' end
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
  local drop, looked = {}, 0
  while #drop < math.min(excess, MOST_DROPS) and looked < MOST_LOOKS do
    local unread = redis.call('XRANGE', frames, after, '+', 'COUNT', LOOKS)
    for _, entry in ipairs(unread) do
      after, looked = '(' .. entry[1], looked + 1
      if #drop < math.min(excess, MOST_DROPS) and is_droppable(entry[2]) then
        drop[#drop + 1] = entry[1]
      end
    end
    if #unread < LOOKS then break end
  end
  if #drop == 0 then
    redis.call('HSET', fences, source, advanced)
    redis.call('HINCRBY', stats, refused, 1)
    return 'refused'
  end
  redis.call('XDEL', frames, unpack(drop))
  redis.call('HINCRBY', stats, dropped, #drop)
end
redis.call('HSET', fences, source, advanced)
local id = redis.call('XADD', frames, '*', 'm', payload)
redis.call('HINCRBY', stats, published, 1)
return id
