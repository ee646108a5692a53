import queue

idle = queue.Queue()
timers = []


def idle_add(fn):
    idle.put(fn)


def timeout_add_seconds(_, fn):
    timers.append(fn)


def format_size(n):
    return '%d bytes' % n


def pump():
    """Runs what a thread has left for the main loop, waiting for it."""
    fn = idle.get(timeout=60)
    assert fn() is False, 'it would be called for ever'
