local page = redis.call('HSCAN', GROUPS, ARGV[1], 'COUNT', 500)
if ARGV[1] == '0' and page[1] == '0' then
    -- All of them: they have all letters.
    local letters = 0
    for i = 2, #page[2], 2 do
        local some = tonumber(string.match(page[2][i], '^(%d+)|%d+|%d+$'))
        if not some then contradicts('group ' .. page[2][i - 1]) end
        letters = letters + (some or 0)
    end
    if letters ~= redis.call('ZCARD', IDS) then contradicts('groups of ' .. letters .. ' letters') end
end
return {stands(), page[1], page[2]}
