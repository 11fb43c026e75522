-- Removes a batch of letters and adds their number to the record of the purge, which the first call inserts.
local name, record, f = ARGV[1], ARGV[2], filter(3)
local place, purged = nil, 0
for i, line in ipairs(redis.call('LRANGE', PURGES, 0, 99)) do
    local count = string.match(line, '^(%d+)|' .. name .. '|')
    if count then
        place, purged = i - 1, tonumber(count)
        break
    end
end
local most, removed, cursor = f.limit - purged, 0, ''
if most > 0 then
    cursor = walk(f, function(id)
        remove(id)
        removed = removed + 1
        return removed < most and removed < REMOVALS
    end)
    if removed >= most then cursor = '' end
end
purged = purged + removed
local line = string.format('%.0f', purged) .. '|' .. name .. '|' .. record
if place then
    redis.call('LSET', PURGES, place, line)
else
    redis.call('LPUSH', PURGES, line)
    redis.call('LTRIM', PURGES, 0, ARGV[14] - 1)
end
return {queue_state(), cursor, purged}
