"""The client: a pure core that decides, one loop that schedules, and adapters that touch the browser (docs/ARCHITECTURE.md)."""
