local owner, lease, now, due_by, f = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), filter(5)
local out, found, weight, grouped = {}, 0, 0, has_group()

local function take(id, l, meta)
    if l.expires ~= '' and tonumber(l.expires) <= now then return true end
    if due_by and l.due ~= '' and tonumber(l.due) > due_by then return true end
    if not grouped then
        redis.call('XGROUP', 'CREATE', STREAM, GROUP, '0', 'MKSTREAM')
        grouped = true
    end
    -- Succeeds if no owner holds the letter, or if the lease has ended.
    local got = redis.call('XCLAIM', STREAM, GROUP, owner, LONGEST, l.sid, 'IDLE', LONGEST - lease, 'FORCE')
    if #got == 0 and inconsistency ~= '' and not holder(l) then
        -- Its entry in the stream was lost.
        l.sid = enter(id, #(redis.call('HGET', BODY, id) or ''))
        meta = l.sid .. '|' .. rest_of(l)
        redis.call('HSET', META, id, meta)
        got = redis.call('XCLAIM', STREAM, GROUP, owner, LONGEST, l.sid, 'IDLE', LONGEST - lease, 'FORCE')
    end
    if #got == 0 then return true end
    found, weight = found + 1, weight + push(out, id, l, meta)
    return found < f.limit and weight < ANSWER
end

local cursor
-- If few letters are due, they are found by their due times.
if due_by and f.id == '' and string.sub(f.source, 1, 2) == 's:' and redis.call('ZCOUNT', DUE, '-inf', due_by) <= STEPS then
    local ids = redis.call('ZRANGE', DUE, '-inf', due_by, 'BYSCORE')
    table.sort(ids)
    cursor = #ids > 0 and visit_all(f, ids, take) or ''
else
    cursor = walk(f, take)
end
if found == 0 and grouped then forget(owner) end
return {queue_state(), cursor, out}
