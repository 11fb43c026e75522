-- The groups from this place to that one, the largest first: fingerprint, and what is known of it.
-- A program of format 1 beside this one does not count the sizes.
local known = redis.pcall('HLEN', GROUPS)
if type(known) == 'number' and redis.call('ZCARD', SIZES) ~= known then measure() end
local out = {}
for _, print in ipairs(redis.call('ZRANGE', SIZES, ARGV[1], ARGV[2])) do
    out[#out + 1] = print
    out[#out + 1] = redis.call('HGET', GROUPS, print) or ''
end
return {stands(), out}
