local owner, lease = ARGV[1], tonumber(ARGV[2])
local out = {}
if has_group() then
    for i = 3, #ARGV do
        local meta = redis.call('HGET', META, ARGV[i])
        local l = meta and parse(meta)
        local sid = l and l.sid or ''
        if sid ~= '' and #redis.call('XPENDING', STREAM, GROUP, sid, sid, 1, owner) > 0 then
            redis.call('XCLAIM', STREAM, GROUP, owner, 0, sid, 'IDLE', LONGEST - lease, 'JUSTID')
            out[#out + 1] = ARGV[i]
        end
    end
end
return {queue_state(), out}
