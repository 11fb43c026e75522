return {stands()}
