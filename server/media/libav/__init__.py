"""What runs in a child process of its own, with bounds on its memory and time: the only code that calls libav."""
