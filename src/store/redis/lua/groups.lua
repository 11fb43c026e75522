local page = redis.call('HSCAN', GROUPS, ARGV[1], 'COUNT', 500)
return {stands(), page[1], page[2]}
