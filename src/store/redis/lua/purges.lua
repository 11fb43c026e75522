return {stands(), redis.call('LRANGE', PURGES, 0, -1)}
