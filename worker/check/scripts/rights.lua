-- Ask which commands the calling user may give, without giving any of them.
--
-- KEYS  of one partition; none is touched
-- ARGV  for each command how many words it has, then the words
-- Returns one 1 (may) or 0 (may not) per command.
local answers, i = {}, 1
while i <= #ARGV do
  local count = tonumber(ARGV[i])
  answers[#answers + 1] = redis.acl_check_cmd(unpack(ARGV, i + 1, i + count)) and 1 or 0
  i = i + 1 + count
end
return answers
