-- The groups with these fingerprints: letters, first and last failure.
local out = {}
for _, fingerprint in ipairs(ARGV) do
    out[#out + 1] = fingerprint
    out[#out + 1] = redis.call('HGET', GROUPS, fingerprint) or ''
end
return {queue_state(), out}
