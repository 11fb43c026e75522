return {queue_state(), redis.call('LRANGE', PURGES, 0, -1)}
