-- The beginning of every script. KEYS holds the keys of the queue in this order.
local IDS, META, HEAD, BODY, INDEX, DUE, EXPIRY, GROUPS, BYTES, STREAM, PURGES, SIZES, FORMAT = unpack(KEYS, 1, 13)
-- The consumer group. Its list of pending entries says which owner holds which letter.
local GROUP = 'redrive'
-- A letter is free when it has been idle for this many milliseconds. A shorter lease is entered with an idle time of the
-- difference, so that one number serves leases of any length.
local LONGEST = 2592000000
-- The most that one script does before others get their turn: letters per batch, letters visited, letters removed, bytes
-- answered.
local BATCH, STEPS, REMOVALS, ANSWER = 200, 1000, 100, 1048576
-- The version of the format. Format 1 had neither the key of the version nor the sizes of groups.
local VERSION = 2

-- An inconsistency between keys, after one was deleted, evicted or overwritten. Every answer contains it, and `repair.lua`
-- repairs it. Empty if there is none.
local inconsistency = ''
-- A key of another type than expected.
local foreign

-- The answer of a reading command; nothing if the user lacks the permission, or the key has another type.
local function probe(key, command)
    local answer = redis.pcall(command, key)
    if type(answer) ~= 'table' or not answer.err then return answer end
    if string.find(answer.err, 'WRONGTYPE', 1, true) then foreign = foreign or key end
end

local function number(text)
    return text and string.find(text, '^%d+$') and tonumber(text) or nil
end

local function is_error(answer)
    return type(answer) == 'table' and answer.err ~= nil
end

-- Migrates a queue of an earlier format: adds the sorted set of group sizes, largest first. While the memory is full, this
-- is put off.
local function migrate(version)
    for _, fingerprint in ipairs(redis.call('ZRANGE', SIZES, 0, -1)) do redis.call('ZREM', SIZES, fingerprint) end
    local groups = redis.call('HGETALL', GROUPS)
    for i = 1, #groups, 2 do
        local letters = tonumber(string.match(groups[i + 1], '^(%d+)') or 0)
        if is_error(redis.pcall('ZADD', SIZES, -letters, groups[i])) then return end
    end
    -- Not `SET`: a user that was set up for format 1 may lack the permission.
    redis.pcall('INCRBY', FORMAT, VERSION - version)
end

-- The number of letters, and the sum of their bytes if it is known.
local count_before, bytes_before
-- Whether the sum of bytes is valid: it is a number, or there are no letters.
local summed

-- Compares the sizes of all keys. Redis knows each of them without counting.
do
    local format = probe(FORMAT, 'GET')
    local version = number(format)
    if version and version > VERSION then return redis.error_reply('FORMAT ' .. format .. ' ' .. VERSION) end
    local n, metas, heads, bodies = probe(IDS, 'ZCARD'), probe(META, 'HLEN'), probe(HEAD, 'HLEN'), probe(BODY, 'HLEN')
    local members, dues, expiries = probe(INDEX, 'ZCARD'), probe(DUE, 'ZCARD'), probe(EXPIRY, 'ZCARD')
    local groups, entries, bytes = probe(GROUPS, 'HLEN'), probe(STREAM, 'XLEN'), probe(BYTES, 'GET')
    local sizes = probe(SIZES, 'ZCARD')
    if foreign then return redis.error_reply('WRONGTYPE ' .. foreign) end
    if not format or (version and version < VERSION) then
        migrate(version or 0)
        sizes = redis.call('ZCARD', SIZES)
    end
    n = n or 0
    count_before, bytes_before = n, number(bytes)
    summed = bytes_before ~= nil or (not bytes and n == 0)
    if (metas or n) ~= n or (heads or n) ~= n or (bodies or 0) > n or (members or 4 * n) ~= 4 * n or (dues or n) ~= n
        or (expiries or 0) > n or (entries or n) ~= n or (groups and ((groups == 0) ~= (n == 0) or groups > n))
        or (groups or sizes) ~= sizes or (format and not version) or not summed or (n == 0 and bytes and bytes ~= '0') then
        local function say(count) return string.format('%.0f', count or -1) end
        inconsistency = 'ids ' .. say(n) .. ', meta ' .. say(metas) .. ', heads ' .. say(heads) .. ', bodies ' .. say(bodies)
            .. ', index ' .. say(members) .. ', due ' .. say(dues) .. ', expiry ' .. say(expiries) .. ', groups '
            .. say(groups) .. ', sizes ' .. say(sizes) .. ', format ' .. (format or 'none') .. ', stream ' .. say(entries) .. ', bytes ' .. (bytes or 'none')
    end
end

local function inconsistent(what)
    if inconsistency == '' then inconsistency = what end
end

-- Parses the metadata of a letter; nothing if it is invalid.
local function parse(meta)
    local l = {}
    l.sid, l.kind, l.fingerprint, l.first, l.last, l.due, l.expires, l.aside, l.size, l.component =
        string.match(meta, '^(%d*%-?%d*)|([^|]*)|(%x+)|(%d+)|(%d+)|(%d*)|(%d*)|([01])|(%d+)|(.*)$')
    if l.sid and #l.fingerprint <= 16 and #l.first <= 19 and #l.last <= 19 and #l.size <= 15 then return l end
end

-- The metadata of a letter without its stream id.
local function rest_of(l)
    return table.concat({l.kind, l.fingerprint, l.first, l.last, l.due, l.expires, l.aside, l.size, l.component}, '|')
end

local function members(id, l)
    return 'c:' .. l.component .. ':' .. id, 'f:' .. l.fingerprint .. ':' .. id, 'k:' .. l.kind .. ':' .. id,
        's:' .. l.aside .. ':' .. id
end

local function index(id, l)
    local c, f, k, s = members(id, l)
    redis.call('ZADD', INDEX, 0, c, 0, f, 0, k, 0, s)
end

-- The number of index members with this prefix.
local function indexed(source)
    return redis.call('ZLEXCOUNT', INDEX, '[' .. source, '[' .. source .. '~')
end

local function join_group(l)
    local letters, first, last = string.match(redis.call('HGET', GROUPS, l.fingerprint) or '', '^(%d+)|(%d+)|(%d+)$')
    -- The letter is in the index already. If other letters of the group are too, the group was lost.
    if not letters and inconsistency ~= '' then letters, first, last = indexed('f:' .. l.fingerprint .. ':') - 1, l.first, l.last end
    if not letters or tonumber(l.first) < tonumber(first) then first = l.first end
    if not letters or tonumber(l.last) > tonumber(last) then last = l.last end
    letters = (letters or 0) + 1
    redis.call('HSET', GROUPS, l.fingerprint, letters .. '|' .. first .. '|' .. last)
    redis.call('ZADD', SIZES, -letters, l.fingerprint)
end

local function leave_group(l)
    local letters, rest = string.match(redis.call('HGET', GROUPS, l.fingerprint) or '', '^(%d+)(|.*)$')
    if not letters then return end
    if tonumber(letters) > 1 then
        redis.call('HSET', GROUPS, l.fingerprint, letters - 1 .. rest)
        redis.call('ZADD', SIZES, 1 - letters, l.fingerprint)
    else
        redis.call('HDEL', GROUPS, l.fingerprint)
        redis.call('ZREM', SIZES, l.fingerprint)
    end
end

-- Adds to the sum of bytes. If the sum was lost, nothing is added, so that the loss is still noticed. While a repair counts
-- it again, letters beyond the id that it has reached are left to the repair.
local function add_bytes(id, size)
    if summed then
        redis.call('INCRBY', BYTES, size)
        return
    end
    local up_to, sum = string.match(redis.call('GET', BYTES) or '', '^~([^|]*)|(%d+)$')
    if up_to and id <= up_to then
        redis.call('SET', BYTES, '~' .. up_to .. '|' .. string.format('%.0f', math.max(sum + size, 0)))
    end
end

-- Adds a letter to the stream. The length of its body shows later whether the body was lost.
local function enter(id, body)
    return redis.call('XADD', STREAM, '*', 'letter', id, 'body', body)
end

-- Writes a letter and adds it to indexes and sums.
local function write(id, l, rest, head, body)
    redis.call('HSET', META, id, l.sid .. '|' .. rest)
    redis.call('HSET', HEAD, id, head)
    if body ~= '' then redis.call('HSET', BODY, id, body) else redis.call('HDEL', BODY, id) end
    redis.call('ZADD', IDS, 0, id)
    index(id, l)
    redis.call('ZADD', DUE, l.due == '' and 0 or l.due, id)
    if l.expires ~= '' then redis.call('ZADD', EXPIRY, l.expires, id) else redis.call('ZREM', EXPIRY, id) end
    add_bytes(id, l.size)
    join_group(l)
end

-- Removes a letter from indexes and sums.
local function unindex(id, l)
    redis.call('ZREM', INDEX, members(id, l))
    add_bytes(id, '-' .. l.size)
    leave_group(l)
end

-- Removes all parts of a letter. Returns its metadata, if valid, and whether any part existed.
local function remove(id)
    local meta = redis.call('HGET', META, id)
    local l = meta and parse(meta)
    if l then unindex(id, l) end
    local there = redis.call('HDEL', META, id) + redis.call('HDEL', HEAD, id) + redis.call('HDEL', BODY, id)
        + redis.call('ZREM', IDS, id) + redis.call('ZREM', DUE, id)
    redis.call('ZREM', EXPIRY, id)
    if l and l.sid ~= '' then
        redis.call('XACK', STREAM, GROUP, l.sid)
        redis.call('XDEL', STREAM, l.sid)
    elseif there > 0 then
        inconsistent('meta of ' .. id)
    end
    return l, there > 0
end

-- Beyond this many fingerprints in a minute, failures count under a fingerprint of zeros. The field `#` counts fingerprints.
local CAUSES = 256

local function count_failure(key, field, until_second)
    -- A failure to count must not lose the letter.
    if redis.pcall('HINCRBY', key, field, 1) == 1 then
        local causes = redis.pcall('HINCRBY', key, '#', 1)
        if type(causes) == 'number' and causes > CAUSES then
            redis.pcall('HDEL', key, field)
            redis.pcall('HINCRBY', key, string.gsub(field, '^%x+', string.rep('0', 16)), 1)
        end
    end
    redis.call('EXPIREAT', key, until_second)
end

local function has_group()
    if redis.call('EXISTS', STREAM) == 0 then return false end
    for _, group in ipairs(redis.call('XINFO', 'GROUPS', STREAM)) do
        if group[2] == GROUP then return true end
    end
    return false
end

-- The owner that holds a letter, and whether its lease has ended. Requires that the consumer group exists.
local function holder(l)
    local pending = redis.call('XPENDING', STREAM, GROUP, l.sid, l.sid, 1)[1]
    if pending then return pending[2], pending[3] >= LONGEST end
end

-- Removes the consumer of an owner that holds no letter.
local function forget(owner)
    if #redis.call('XPENDING', STREAM, GROUP, '-', '+', 1, owner) == 0 then
        redis.call('XGROUP', 'DELCONSUMER', STREAM, GROUP, owner)
    end
end

-- The head of a letter that lost a part. It cannot be read as a letter, so it is never sent.
local function damaged_head(l, head, bytes)
    return 'lost: ' .. bytes .. ' of ' .. l.size .. ' bytes of this letter are left, and its head was: ' .. head
end

-- Appends a letter to the answer. Returns about how many bytes it adds.
local function push(out, id, l, meta)
    local head, body = redis.call('HGET', HEAD, id) or '', redis.call('HGET', BODY, id) or ''
    if #head + #body ~= tonumber(l.size) then
        inconsistent('bytes of ' .. id)
        head = damaged_head(l, head, #head + #body)
    end
    local n = #out
    out[n + 1], out[n + 2], out[n + 3], out[n + 4] = id, meta, head, body
    return #head + #body + 200
end

-- The state of the queue, which begins every answer.
local function queue_state()
    local bytes = redis.call('GET', BYTES) or '0'
    if not number(bytes) then bytes = string.match(bytes, '^~[^|]*|(%d+)$') or '0' end
    return {redis.call('ZCARD', IDS), bytes, redis.call('ZRANGE', IDS, 0, 0)[1] or '', inconsistency}
end

-- Reads the filter that begins at this argument.
local function filter(at)
    local f = {}
    f.source, f.after, f.up_to, f.id, f.component, f.kind, f.fingerprint, f.aside = unpack(ARGV, at, at + 7)
    f.latest, f.earliest, f.limit = tonumber(ARGV[at + 8]), tonumber(ARGV[at + 9]), tonumber(ARGV[at + 10])
    return f
end

local function matches(f, id, l)
    return (f.after == '' or id > f.after) and (f.up_to == '' or id <= f.up_to)
        and (f.component == '' or f.component == '=' .. l.component) and (f.kind == '' or f.kind == l.kind)
        and (f.fingerprint == '' or f.fingerprint == l.fingerprint) and (f.aside == '' or f.aside == l.aside)
        and (not f.latest or tonumber(l.last) <= f.latest) and (not f.earliest or tonumber(l.last) > f.earliest)
end

-- The sorted set that the filter reads, and the ends of the range in it.
local function range(f, after)
    if f.source == '' then
        return IDS, after == '' and '-' or '(' .. after, f.up_to == '' and '+' or '[' .. f.up_to
    end
    -- A tilde sorts after every character of an id.
    return INDEX, '(' .. f.source .. after, '[' .. f.source .. (f.up_to == '' and '~' or f.up_to)
end

local function visit_all(f, ids, visit)
    local metas = redis.call('HMGET', META, unpack(ids))
    for i, id in ipairs(ids) do
        local l = metas[i] and parse(metas[i])
        if not l and f.id == '' then inconsistent('meta of ' .. id) end
        if l and matches(f, id, l) and not visit(id, l, metas[i]) then return id end
    end
end

-- Visits the letters that match the filter, in order of their ids, until a visit returns false or the script has done
-- enough. Returns the id to continue after, or an empty text at the end.
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

