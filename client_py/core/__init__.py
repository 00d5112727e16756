"""Order, state, retry and resumption: events that carry their time in, effects out. No I/O, clock, chance or `js`."""
