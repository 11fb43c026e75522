return {queue_state()}
