-- The groups from this place to that one, the largest first: fingerprint, and what is known of it.
local page = redis.call('ZRANGE', SIZES, ARGV[1], ARGV[2], 'WITHSCORES')
local out, letters = {}, 0
for i = 1, #page, 2 do
    local print, size = page[i], -tonumber(page[i + 1])
    local known = redis.call('HGET', GROUPS, print) or ''
    if tonumber(string.match(known, '^(%d+)|%d+|%d+$')) ~= size then contradicts('group ' .. print) end
    out[#out + 1] = print
    out[#out + 1] = known
    letters = letters + size
end
if ARGV[1] == '0' and #page == 2 * redis.call('ZCARD', SIZES) and letters ~= redis.call('ZCARD', IDS) then
    -- All of them: they have all letters.
    contradicts('groups of ' .. letters .. ' letters')
end
return {stands(), out}
