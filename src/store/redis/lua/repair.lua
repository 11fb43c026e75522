-- Repairs one part of a queue, a few letters at a time. It keeps what is left of the letters and derives all other keys from
-- it. Returns the cursor to continue after, or an empty text at the end of the part; the ids of lost letters; how many
-- letters were restored and how many damaged; and orphans: heads without metadata.
local part, cursor = ARGV[1], ARGV[2]
local lost, found, damaged, orphans, weight = {}, 0, 0, {}, 0

local function is_id(text)
    return #text == 36 and string.find(text, '^[%x%-]+$') ~= nil
end

-- Removes the remains of a letter that has neither metadata nor head. If only its stream entry or index members are left,
-- the letter was removed while those could not be found, and is not lost.
local function remove_remains(id)
    local _, there = remove(id)
    if there and is_id(id) then lost[#lost + 1] = id end
end

local function metadata_of(id)
    local meta = redis.call('HGET', META, id)
    return meta and parse(meta)
end

local function bytes_of(id)
    return redis.call('HSTRLEN', HEAD, id) + redis.call('HSTRLEN', BODY, id)
end

-- Makes all keys consistent for one letter.
local function make_consistent(id, l)
    local changed = false
    local bytes = bytes_of(id)
    if bytes ~= tonumber(l.size) or redis.call('HEXISTS', HEAD, id) == 0 then
        -- A damaged letter is set aside.
        local c, f, k, s = members(id, l)
        redis.call('ZREM', INDEX, s)
        redis.call('HSET', HEAD, id, damaged_head(l, redis.call('HGET', HEAD, id) or '', bytes))
        l.size, l.aside, l.due, changed = string.format('%.0f', bytes_of(id)), '1', '', true
        damaged = damaged + 1
    end
    if l.sid == '' or #redis.call('XRANGE', STREAM, l.sid, l.sid, 'COUNT', 1) == 0 then
        l.sid, changed = enter(id, redis.call('HSTRLEN', BODY, id)), true
    end
    if changed then redis.call('HSET', META, id, l.sid .. '|' .. rest_of(l)) end
    local added = redis.call('ZADD', IDS, 0, id)
    local c, f, k, s = members(id, l)
    added = added + redis.call('ZADD', INDEX, 0, c, 0, f, 0, k, 0, s)
    added = added + redis.call('ZADD', DUE, l.due == '' and 0 or l.due, id)
    if l.expires ~= '' then added = added + redis.call('ZADD', EXPIRY, l.expires, id) end
    if added > 0 or changed then found = found + 1 end
end

-- Returns a head without metadata to the caller, which can parse it.
local function orphan(id, sid, body)
    local head = redis.call('HGET', HEAD, id)
    local n = #orphans
    orphans[n + 1], orphans[n + 2], orphans[n + 3], orphans[n + 4] = id, sid, body, head
    weight = weight + #head
end

-- Visits a page of a sorted set and removes the members that `keeps` rejects. Returns the cursor.
local function filter_set(key, keeps)
    local at = tonumber(cursor) or 0
    local ids = redis.call('ZRANGE', key, at, at + BATCH - 1)
    for _, id in ipairs(ids) do
        if keeps(id) then at = at + 1 else redis.call('ZREM', key, id) end
    end
    return #ids == BATCH and string.format('%.0f', at) or ''
end

local function scan(key, count, visit)
    local page = redis.call('HSCAN', key, cursor == '' and '0' or cursor, 'COUNT', count)
    for i = 1, #page[2], 2 do visit(page[2][i], page[2][i + 1]) end
    return page[1] == '0' and '' or page[1]
end

local parts = {}

function parts.stream()
    local entries = redis.call('XRANGE', STREAM, cursor == '' and '-' or '(' .. cursor, '+', 'COUNT', BATCH)
    local last = ''
    for _, entry in ipairs(entries) do
        local sid, fields, id, body = entry[1], entry[2], '', ''
        for i = 1, #fields, 2 do
            if fields[i] == 'letter' then id = fields[i + 1] elseif fields[i] == 'body' then body = fields[i + 1] end
        end
        local l = metadata_of(id)
        if not l and is_id(id) and redis.call('HEXISTS', HEAD, id) == 1 then
            orphan(id, sid, body)
        elseif not l or (l.sid ~= sid and l.sid ~= '') then
            redis.call('XACK', STREAM, GROUP, sid)
            redis.call('XDEL', STREAM, sid)
            if not l then remove_remains(id) end
        elseif l.sid == '' then
            redis.call('HSET', META, id, sid .. '|' .. rest_of(l))
        end
        last = sid
        if weight >= ANSWER then return last end
    end
    return #entries == BATCH and last or ''
end

-- Adopts orphans whose heads the caller has parsed: for each its id, its stream id, the length of its body or whether it
-- needs one, and its metadata before and after the size.
function parts.adopt()
    for at = 3, #ARGV, 5 do
        local id, sid, body, before, component = unpack(ARGV, at, at + 4)
        local head = not metadata_of(id) and redis.call('HSTRLEN', HEAD, id)
        if head and redis.call('HEXISTS', HEAD, id) == 1 then
            local has = redis.call('HSTRLEN', BODY, id)
            -- A letter must not be sent without the body that it had.
            local size = head + (has > 0 and has or tonumber(body) or 0)
            local l = parse(sid .. '|' .. before .. '|' .. string.format('%.0f', size) .. '|' .. component)
            -- A size that is one byte too large marks the letter as damaged, because it may have had a body.
            if l then
                if has == 0 and body == 'unknown' then l.size = string.format('%.0f', size + 1) end
                redis.call('HSET', META, id, sid .. '|' .. rest_of(l))
                local before = found
                make_consistent(id, l)
                found = before + 1
            end
        end
    end
    return ''
end

function parts.metas()
    return scan(META, BATCH, function(id, meta)
        local l = is_id(id) and parse(meta)
        if l then
            make_consistent(id, l)
        else
            redis.call('HDEL', META, id)
            if redis.call('HEXISTS', HEAD, id) == 0 then remove_remains(id) end
        end
    end)
end

function parts.heads()
    -- By now every letter with metadata has a head.
    if redis.call('HLEN', HEAD) == redis.call('HLEN', META) then return '' end
    return scan(HEAD, 20, function(id)
        if not is_id(id) then
            redis.call('HDEL', HEAD, id)
        elseif redis.call('HEXISTS', META, id) == 0 then
            orphan(id, '', '')
        end
    end)
end

function parts.bodies()
    return scan(BODY, 10, function(id)
        if redis.call('HEXISTS', META, id) == 0 and redis.call('HEXISTS', HEAD, id) == 0 then remove_remains(id) end
    end)
end

function parts.ids()
    return filter_set(IDS, function(id)
        if redis.call('HEXISTS', META, id) == 1 or redis.call('HEXISTS', HEAD, id) == 1 then return true end
        remove_remains(id)
        return false
    end)
end

function parts.index()
    return filter_set(INDEX, function(member)
        local id = string.sub(member, -36)
        local l = metadata_of(id)
        if not l then
            if redis.call('HEXISTS', HEAD, id) == 1 then return true end
            remove_remains(id)
            return false
        end
        local c, f, k, s = members(id, l)
        return member == c or member == f or member == k or member == s
    end)
end

function parts.due()
    return filter_set(DUE, function(id)
        return redis.call('HEXISTS', META, id) == 1 or redis.call('HEXISTS', HEAD, id) == 1
    end)
end

function parts.expiry()
    return filter_set(EXPIRY, function(id)
        local l = metadata_of(id)
        return l and l.expires ~= '' or redis.call('HEXISTS', HEAD, id) == 1 and not l
    end)
end

-- Derives the groups from the index.
function parts.causes()
    for _ = 1, BATCH do
        local member = redis.call('ZRANGE', INDEX, cursor == '' and '[f:' or '(f:' .. cursor .. ':~', '(f:~', 'BYLEX',
            'LIMIT', 0, 1)[1]
        if not member then return '' end
        cursor = string.match(member, '^f:(%x+):')
        if not cursor then
            redis.call('ZREM', INDEX, member)
            return ''
        end
        local source = 'f:' .. cursor .. ':'
        local oldest = metadata_of(string.sub(member, -36))
        local newest = redis.call('ZRANGE', INDEX, '[' .. source .. '~', '[' .. source, 'BYLEX', 'REV', 'LIMIT', 0, 1)[1]
        newest = metadata_of(string.sub(newest, -36)) or oldest
        local _, first, last = string.match(redis.call('HGET', GROUPS, cursor) or '', '^(%d+)|(%d+)|(%d+)$')
        if oldest and newest then
            local letters = string.format('%.0f', indexed(source))
            redis.call('HSET', GROUPS, cursor,
                letters .. '|' .. (first or oldest.first) .. '|' .. (last or newest.last))
            redis.call('ZADD', SIZES, '-' .. letters, cursor)
        end
    end
    return cursor
end

function parts.groups()
    return scan(GROUPS, BATCH, function(fingerprint)
        if not string.find(fingerprint, '^%x+$') or indexed('f:' .. fingerprint .. ':') == 0 then
            redis.call('HDEL', GROUPS, fingerprint)
            redis.call('ZREM', SIZES, fingerprint)
        end
    end)
end

function parts.sizes()
    return filter_set(SIZES, function(fingerprint)
        return redis.call('HEXISTS', GROUPS, fingerprint) == 1
    end)
end

function parts.format()
    if not number(redis.call('GET', FORMAT)) then redis.call('SET', FORMAT, VERSION) end
    return ''
end

-- Counts the bytes again. The key holds the sum up to an id, so that letters that are added or removed meanwhile count too.
function parts.bytes()
    local up_to, sum = string.match(redis.call('GET', BYTES) or '', '^~([^|]*)|(%d+)$')
    -- Another process has finished the count.
    if cursor ~= '' and not up_to then return '' end
    if cursor == '' then up_to, sum = '', 0 end
    local ids = redis.call('ZRANGE', IDS, up_to == '' and '-' or '(' .. up_to, '+', 'BYLEX', 'LIMIT', 0, BATCH)
    local metas = #ids > 0 and redis.call('HMGET', META, unpack(ids)) or {}
    for i in ipairs(ids) do
        local l = metas[i] and parse(metas[i])
        sum = sum + (l and l.size or 0)
    end
    sum = string.format('%.0f', sum)
    if #ids < BATCH then
        redis.call('SET', BYTES, sum)
        return ''
    end
    redis.call('SET', BYTES, '~' .. ids[#ids] .. '|' .. sum)
    return ids[#ids]
end

local on = parts[part]()
return {queue_state(), on, lost, found, damaged, orphans}
