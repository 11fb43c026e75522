local owner, at, out, grouped = ARGV[1], 2, {}, has_group()

-- Whether the letter is free for this owner, and whether any owner holds it.
local function free(l)
    if not grouped then return true, false end
    local who, over = holder(l)
    return not who or who == owner or over, who ~= nil
end

while at <= #ARGV do
    local what, id = ARGV[at], ARGV[at + 1]
    at = at + 2
    local done = false
    if what == 'delivered' then
        local _, there = remove(id)
        done = there
    else
        local meta = redis.call('HGET', META, id)
        local old = meta and parse(meta)
        local mine, held = false, false
        if old and old.sid ~= '' then mine, held = free(old) end
        if what == 'released' then
            done = mine and held
        else
            local rest, head, body, key, field, until_second = unpack(ARGV, at, at + 5)
            at = at + 6
            local l = parse((old and old.sid or '') .. '|' .. rest)
            if l.sid == '' and (redis.call('HEXISTS', HEAD, id) == 1
                or redis.call('ZLEXCOUNT', IDS, '[' .. id, '[' .. id) == 1) then
                -- Its metadata was lost, and this entry restores it.
                mine, l.sid = true, enter(id, #body)
            end
            done = mine
            -- If the same letter is there already, this call was made before and its answer was lost.
            local again = not held and meta == l.sid .. '|' .. rest and redis.call('HGET', HEAD, id) == head
            if mine and not again then
                -- Written before the old entry is removed, so that its group is never empty.
                write(id, l, rest, head, body)
                if old then unindex(id, old) end
                index(id, l)
                if what == 'failed' then count_failure(KEYS[tonumber(key)], field, until_second) end
            end
        end
        if done and old and old.sid ~= '' then redis.call('XACK', STREAM, GROUP, old.sid) end
    end
    out[#out + 1] = done and 1 or 0
end
if grouped then forget(owner) end
return {queue_state(), out}
