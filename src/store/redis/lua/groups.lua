-- The groups between two ranks, largest first: fingerprint, letters, first and last failure.
local page = redis.call('ZRANGE', SIZES, ARGV[1], ARGV[2], 'WITHSCORES')
local out, letters = {}, 0
for i = 1, #page, 2 do
    local fingerprint, size = page[i], -tonumber(page[i + 1])
    local group = redis.call('HGET', GROUPS, fingerprint) or ''
    if tonumber(string.match(group, '^(%d+)|%d+|%d+$')) ~= size then inconsistent('group ' .. fingerprint) end
    out[#out + 1] = fingerprint
    out[#out + 1] = group
    letters = letters + size
end
if ARGV[1] == '0' and #page == 2 * redis.call('ZCARD', SIZES) and letters ~= redis.call('ZCARD', IDS) then
    -- All groups together must contain all letters.
    inconsistent('groups of ' .. letters .. ' letters')
end
return {queue_state(), out}
