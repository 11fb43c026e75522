local out, place = {}, {}
for i = 14, #KEYS do
    local row = redis.pcall('HGETALL', KEYS[i])
    if row.err then return redis.error_reply('WRONGTYPE ' .. KEYS[i]) end
    for j = 1, #row, 2 do
        local at = place[row[j]]
        if at then
            out[at] = out[at] + row[j + 1]
        else
            out[#out + 1] = row[j]
            out[#out + 1] = tonumber(row[j + 1])
            place[row[j]] = #out
        end
    end
end
return {queue_state(), out}
