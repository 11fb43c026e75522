local what, f = ARGV[1], filter(2)
if what == 'range' then
    local key, first, last = range(f, f.after)
    return {queue_state(), '', redis.call('ZLEXCOUNT', key, first, last)}
end
local out, found, weight = {}, 0, 0
local cursor = walk(f, function(id, l, meta)
    found = found + 1
    if what == 'letters' then
        weight = weight + push(out, id, l, meta)
    elseif what == 'metas' then
        out[#out + 1] = id
        out[#out + 1] = meta
    end
    return found < f.limit and weight < ANSWER
end)
if what == 'count' then return {queue_state(), cursor, found} end
return {queue_state(), cursor, out}
