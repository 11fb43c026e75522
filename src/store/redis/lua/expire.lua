local ids = redis.call('ZRANGE', EXPIRY, '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, REMOVALS)
for _, id in ipairs(ids) do remove(id) end
-- Those that died are no consumers any more, once others have what they held.
if has_group() then
    for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', STREAM, GROUP)) do
        if consumer[4] == 0 then redis.call('XGROUP', 'DELCONSUMER', STREAM, GROUP, consumer[2]) end
    end
end
return {stands(), #ids, #ids == REMOVALS and 1 or 0}
