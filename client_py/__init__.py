"""The client: a pure core that decides, one loop that schedules, adapters that touch the browser."""
