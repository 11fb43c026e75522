-- Letters by their ids, or the newest letter of each fingerprint, as many as fit into one answer. Returns how many
-- arguments it has handled.
local out, weight, asked = {}, 0, 0
for i = 2, #ARGV do
    if weight >= ANSWER then break end
    asked = asked + 1
    local id = ARGV[i]
    if ARGV[1] == 'newest' then
        local source = 'f:' .. id .. ':'
        local member = redis.call('ZRANGE', INDEX, '[' .. source .. '~', '[' .. source, 'BYLEX', 'REV', 'LIMIT', 0, 1)[1]
        id = member and string.sub(member, -36)
    end
    local meta = id and redis.call('HGET', META, id)
    local l = meta and parse(meta)
    if l then weight = weight + push(out, id, l, meta) end
end
return {queue_state(), asked, out}
