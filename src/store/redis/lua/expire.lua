local ids = redis.call('ZRANGE', EXPIRY, '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, REMOVALS)
for _, id in ipairs(ids) do remove(id) end
-- Removes consumers that hold no letter: processes that died leave them behind.
if has_group() then
    for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', STREAM, GROUP)) do
        if consumer[4] == 0 then redis.call('XGROUP', 'DELCONSUMER', STREAM, GROUP, consumer[2]) end
    end
end
-- Not every letter has an expiry, so the size of the set does not show whether one was lost: each call checks a batch.
local after = ''
if redis.call('ZCARD', EXPIRY) < redis.call('ZCARD', IDS) then
    local some = redis.call('ZRANGE', IDS, ARGV[2] == '' and '-' or '(' .. ARGV[2], '+', 'BYLEX', 'LIMIT', 0, BATCH)
    local metas = #some > 0 and redis.call('HMGET', META, unpack(some)) or {}
    for i, id in ipairs(some) do
        local l = metas[i] and parse(metas[i])
        if l and l.expires ~= '' and redis.call('ZADD', EXPIRY, l.expires, id) == 1 then
            inconsistent('expiry of ' .. id)
        end
    end
    if #some == BATCH then after = some[#some] end
end
return {queue_state(), #ids, #ids == REMOVALS and 1 or 0, after}
