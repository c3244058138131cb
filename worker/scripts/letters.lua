-- What every script that adds or removes dead letters begins with: Python puts this text before it.
--
-- Letters hold pictures of people, and up to 8 MiB each, so they are bounded by number, bytes and
-- age. Redis knows a stream's length but not its bytes: a running total in the stats hash changes
-- with every letter. It starts at 0 with the first letter of an empty stream, which also puts it
-- right, but not sooner, after somebody deleted letters past these scripts.

-- How many letters one script may remove to keep the bounds: Redis does nothing else meanwhile, and
-- the next script goes on.
local MOST_REMOVED = 1000

local function letter_bytes(fields)
  local bytes = 0
  for i = 1, #fields do bytes = bytes + #fields[i] end
  return bytes
end

local function add_letter(dead, stats, bytes_field, fields)
  if redis.call('XLEN', dead) == 0 then redis.call('HSET', stats, bytes_field, 0) end
  redis.call('XADD', dead, '*', unpack(fields))
  redis.call('HINCRBY', stats, bytes_field, letter_bytes(fields))
end

-- The letter's fields; nil if it is not there, or not any more. XDEL answers 1 to exactly one caller.
local function remove_letter(dead, stats, bytes_field, id)
  local letter = redis.call('XRANGE', dead, id, id)[1]
  if not letter or redis.call('XDEL', dead, id) == 0 then return nil end
  redis.call('HINCRBY', stats, bytes_field, -letter_bytes(letter[2]))
  return letter[2]
end

-- Remove the oldest letters until at most `keep` of `keep_bytes` are left, none older than `keep_ms`
-- by the server's clock, which also made their ids. Returns how many went.
local function bound_letters(dead, stats, bytes_field, keep, keep_bytes, keep_ms)
  local expired_ms = math.max(0, redis.call('TIME')[1] * 1000 - keep_ms)
  for removed = 0, MOST_REMOVED - 1 do
    local bytes = tonumber(redis.call('HGET', stats, bytes_field) or '0')
    local is_full = redis.call('XLEN', dead) > tonumber(keep) or bytes > tonumber(keep_bytes)
    -- Not looked at unless it must go: it may be 8 MiB.
    local last = is_full and '+' or string.format('%.0f', expired_ms)
    local oldest = redis.call('XRANGE', dead, '-', last, 'COUNT', 1)[1]
    if not oldest then return removed end
    remove_letter(dead, stats, bytes_field, oldest[1])
  end
  return MOST_REMOVED
end
