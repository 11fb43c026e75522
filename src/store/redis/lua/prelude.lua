-- What all scripts share. Every key of a queue is among KEYS, in this order.
local IDS, META, HEAD, BODY, INDEX, DUE, EXPIRY, GROUPS, BYTES, STREAM, PURGES, SIZES, FORMAT = unpack(KEYS, 1, 13)
-- The consumer group, whose list of pending entries tells who holds which letter.
local GROUP = 'redrive'
-- A letter is free when it has been idle for so many milliseconds. One that is claimed for less is told to have
-- been idle for the rest already, so that leases of any length are counted by one number.
local LONGEST = 2592000000
-- How much one script does, so that others have their turn: letters looked at, letters removed, bytes answered.
local BATCH, STEPS, REMOVALS, ANSWER = 200, 1000, 100, 1048576
-- The format of what follows. Format 1 had neither a number nor the sizes of groups.
local VERSION = 2

-- Orders the groups by size anew, the largest first.
local function measure()
    for _, print in ipairs(redis.call('ZRANGE', SIZES, 0, -1)) do redis.call('ZREM', SIZES, print) end
    local groups = redis.call('HGETALL', GROUPS)
    for i = 1, #groups, 2 do
        redis.call('ZADD', SIZES, -tonumber(string.match(groups[i + 1], '^(%d+)') or 0), groups[i])
    end
end

local format = tonumber(redis.call('GET', FORMAT) or 1) or 1
if format > VERSION then
    return redis.error_reply('FORMAT ' .. format .. ' ' .. VERSION)
elseif format < VERSION then
    measure()
    -- Not `SET`: a user of format 1 may lack the right to it.
    redis.call('INCRBY', FORMAT, VERSION - (redis.call('GET', FORMAT) or 0))
end

local function parse(meta)
    local l = {}
    l.sid, l.kind, l.print, l.first, l.last, l.due, l.expires, l.aside, l.size, l.component =
        string.match(meta, '^([^|]*)|([^|]*)|(%x+)|(%d+)|(%d+)|(%d*)|(%d*)|([01])|(%d+)|(.*)$')
    return l
end

local function members(id, l)
    return 'c:' .. l.component .. ':' .. id, 'f:' .. l.print .. ':' .. id, 'k:' .. l.kind .. ':' .. id,
        's:' .. l.aside .. ':' .. id
end

local function index(id, l)
    local c, f, k, s = members(id, l)
    redis.call('ZADD', INDEX, 0, c, 0, f, 0, k, 0, s)
end

local function join_group(l)
    local letters, first, last = string.match(redis.call('HGET', GROUPS, l.print) or '', '^(%d+)|(%d+)|(%d+)$')
    if not letters or tonumber(l.first) < tonumber(first) then first = l.first end
    if not letters or tonumber(l.last) > tonumber(last) then last = l.last end
    letters = (letters or 0) + 1
    redis.call('HSET', GROUPS, l.print, letters .. '|' .. first .. '|' .. last)
    redis.call('ZADD', SIZES, -letters, l.print)
end

local function leave_group(l)
    local letters, rest = string.match(redis.call('HGET', GROUPS, l.print) or '', '^(%d+)(|.*)$')
    if not letters then return end
    if tonumber(letters) > 1 then
        redis.call('HSET', GROUPS, l.print, letters - 1 .. rest)
        redis.call('ZADD', SIZES, 1 - letters, l.print)
    else
        redis.call('HDEL', GROUPS, l.print)
        redis.call('ZREM', SIZES, l.print)
    end
end

-- Writes a letter, and counts it.
local function write(id, l, rest, head, body)
    redis.call('HSET', META, id, l.sid .. '|' .. rest)
    redis.call('HSET', HEAD, id, head)
    if body ~= '' then redis.call('HSET', BODY, id, body) else redis.call('HDEL', BODY, id) end
    redis.call('ZADD', IDS, 0, id)
    index(id, l)
    redis.call('ZADD', DUE, l.due == '' and 0 or l.due, id)
    if l.expires ~= '' then redis.call('ZADD', EXPIRY, l.expires, id) else redis.call('ZREM', EXPIRY, id) end
    redis.call('INCRBY', BYTES, l.size)
    join_group(l)
end

-- Takes a letter out of the indexes, and counts it no more.
local function unwrite(id, l)
    redis.call('ZREM', INDEX, members(id, l))
    redis.call('DECRBY', BYTES, l.size)
    leave_group(l)
end

-- Removes a letter and gives what it was, or nothing.
local function remove(id)
    local meta = redis.call('HGET', META, id)
    if not meta then return nil end
    local l = parse(meta)
    unwrite(id, l)
    redis.call('HDEL', META, id)
    redis.call('HDEL', HEAD, id)
    redis.call('HDEL', BODY, id)
    redis.call('ZREM', IDS, id)
    redis.call('ZREM', DUE, id)
    redis.call('ZREM', EXPIRY, id)
    redis.call('XACK', STREAM, GROUP, l.sid)
    redis.call('XDEL', STREAM, l.sid)
    return l
end

local function count_failure(key, field, until_second)
    redis.call('HINCRBY', key, field, 1)
    redis.call('EXPIREAT', key, until_second)
end

local function has_group()
    return redis.call('EXISTS', STREAM) == 1 and #redis.call('XINFO', 'GROUPS', STREAM) > 0
end

-- Who holds a letter, and whether that lease is over; only where there is a group.
local function holder(l)
    local pending = redis.call('XPENDING', STREAM, GROUP, l.sid, l.sid, 1)[1]
    if pending then return pending[2], pending[3] >= LONGEST end
end

-- An owner that holds nothing is no consumer any more.
local function forget(owner)
    if #redis.call('XPENDING', STREAM, GROUP, '-', '+', 1, owner) == 0 then
        redis.call('XGROUP', 'DELCONSUMER', STREAM, GROUP, owner)
    end
end

-- The letter as it is answered: flat, and its size.
local function push(out, id, meta)
    local head, body = redis.call('HGET', HEAD, id) or '', redis.call('HGET', BODY, id) or ''
    local n = #out
    out[n + 1], out[n + 2], out[n + 3], out[n + 4] = id, meta, head, body
    return #head + #body + 200
end

-- How the queue stands, for whoever asked anything.
local function stands()
    return {redis.call('ZCARD', IDS), redis.call('GET', BYTES) or '0', redis.call('ZRANGE', IDS, 0, 0)[1] or ''}
end

-- The filter that begins at this argument.
local function filter(at)
    local f = {}
    f.source, f.after, f.up_to, f.id, f.component, f.kind, f.print, f.aside = unpack(ARGV, at, at + 7)
    f.latest, f.earliest, f.limit = tonumber(ARGV[at + 8]), tonumber(ARGV[at + 9]), tonumber(ARGV[at + 10])
    return f
end

local function matches(f, id, l)
    return (f.after == '' or id > f.after) and (f.up_to == '' or id <= f.up_to)
        and (f.component == '' or f.component == '=' .. l.component) and (f.kind == '' or f.kind == l.kind)
        and (f.print == '' or f.print == l.print) and (f.aside == '' or f.aside == l.aside)
        and (not f.latest or tonumber(l.last) <= f.latest) and (not f.earliest or tonumber(l.last) > f.earliest)
end

-- Where a range of the filter's ids begins and ends, in the set that it is read from.
local function range(f, after)
    if f.source == '' then
        return IDS, after == '' and '-' or '(' .. after, f.up_to == '' and '+' or '[' .. f.up_to
    end
    -- No id begins with a tilde, and all that one begins with is smaller.
    return INDEX, '(' .. f.source .. after, '[' .. f.source .. (f.up_to == '' and '~' or f.up_to)
end

local function visit_all(f, ids, visit)
    local metas = redis.call('HMGET', META, unpack(ids))
    for i, id in ipairs(ids) do
        local l = metas[i] and parse(metas[i])
        if l and matches(f, id, l) and not visit(id, l, metas[i]) then return id end
    end
end

-- Visits what the filter lets through, in order, until a visit says false or it is enough for one script. Gives the
-- id to go on after, or nothing at the end.
local function walk(f, visit)
    if f.id ~= '' then
        visit_all(f, {f.id}, visit)
        return ''
    end
    local after, steps = f.after, 0
    while steps < STEPS do
        local key, first, last = range(f, after)
        local ids = redis.call('ZRANGE', key, first, last, 'BYLEX', 'LIMIT', 0, BATCH)
        if #ids == 0 then return '' end
        if f.source ~= '' then
            for i, member in ipairs(ids) do ids[i] = string.sub(member, -36) end
        end
        local stopped = visit_all(f, ids, visit)
        if stopped then return stopped end
        if #ids < BATCH then return '' end
        after, steps = ids[#ids], steps + #ids
    end
    return after
end

