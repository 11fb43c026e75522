local id, rest, head, body = unpack(ARGV, 1, 4)
local capacity, most, drops = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7] == '1'

-- The letter that came first: ids tell of the clock of the one who made them.
local function first_come()
    if redis.call('EXISTS', STREAM) == 1 then
        local about = redis.call('XINFO', 'STREAM', STREAM)
        for i = 1, #about, 2 do
            local id = about[i] == 'first-entry' and about[i + 1] and about[i + 1][2][2]
            if id and redis.call('HEXISTS', META, id) == 1 then return id end
            if id then contradicts('stream of ' .. id) end
        end
    end
    return redis.call('ZRANGE', IDS, 0, 0)[1]
end

if redis.call('HEXISTS', META, id) == 1 then return {stands(), 'kept', 0} end

local l = parse('|' .. rest)
local size, evicted = tonumber(l.size), 0
-- Where the sum of bytes is lost, what is known of it counts.
local count, bytes = count_before, bytes_before or tonumber(stands()[2])
while count >= capacity or bytes + size > most do
    -- Dropping all others would not make room for one that is larger than all there is.
    if not drops or size > most or count == 0 then return {stands(), 'full', evicted} end
    if evicted == REMOVALS then return {stands(), 'more', evicted} end
    local oldest = remove(first_come())
    count, bytes, evicted = count - 1, bytes - (oldest and oldest.size or 0), evicted + 1
end
l.sid = enter(id, #body)
write(id, l, rest, head, body)
count_failure(KEYS[14], ARGV[8], ARGV[9])
return {stands(), 'kept', evicted}
