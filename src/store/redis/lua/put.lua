local id, rest, head, body = unpack(ARGV, 1, 4)
local capacity, most, drops = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7] == '1'

-- The letter that arrived first. Ids depend on the clocks of the processes that made them.
local function first_come()
    if redis.call('EXISTS', STREAM) == 1 then
        local about = redis.call('XINFO', 'STREAM', STREAM)
        for i = 1, #about, 2 do
            local id = about[i] == 'first-entry' and about[i + 1] and about[i + 1][2][2]
            if id and redis.call('HEXISTS', META, id) == 1 then return id end
            if id then inconsistent('stream of ' .. id) end
        end
    end
    return redis.call('ZRANGE', IDS, 0, 0)[1]
end

if redis.call('HEXISTS', META, id) == 1 then return {queue_state(), 'kept', 0} end

local l = parse('|' .. rest)
local size, evicted = tonumber(l.size), 0
-- If the sum of bytes was lost, a partial sum is used.
local count, bytes = count_before, bytes_before or tonumber(queue_state()[2])
while count >= capacity or bytes + size > most do
    -- A letter that is larger than the limit does not fit even into an empty queue.
    if not drops or size > most or count == 0 then return {queue_state(), 'full', evicted} end
    if evicted == REMOVALS then return {queue_state(), 'more', evicted} end
    local oldest = remove(first_come())
    count, bytes, evicted = count - 1, bytes - (oldest and oldest.size or 0), evicted + 1
end
l.sid = enter(id, #body)
write(id, l, rest, head, body)
count_failure(KEYS[14], ARGV[8], ARGV[9])
return {queue_state(), 'kept', evicted}
