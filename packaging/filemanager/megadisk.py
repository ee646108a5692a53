"""Shows in Nautilus, Nemo and Caja how files of a MEGA drive are: emblems, a column, and a menu.

The file managers load this file from their folders of extensions, and the folder's name tells which one of them it is.
States are the extended attribute user.mega.state; whatever is to be done is asked of the process that holds the mount,
over its control socket, by a thread: the file manager never waits for the cloud.
"""

import http.client
import json
import os
import socket
import sys
import threading
import time

HOST = next((name for name in ('Nemo', 'Caja') if name.lower() + '-python' in os.path.abspath(__file__)), 'Nautilus')

from gi.repository import GLib, GObject  # noqa: E402

Host = getattr(__import__('gi.repository', fromlist=[HOST]), HOST)

# What user.mega.state can be: the emblem, and the word for people.
STATES = {
    'cloud': ('emblem-web', 'In the cloud'),
    'partial': ('emblem-downloads', 'Partly here'),
    'cached': ('emblem-default', 'Here'),
    'pinned': ('emblem-favorite', 'Kept here'),
    'dirty': ('emblem-new', 'To be uploaded'),
    'uploading': ('emblem-synchronizing', 'Uploading'),
    'conflict': ('emblem-important', 'Conflict'),
    'error': ('emblem-unreadable', 'Error'),
}
PASSING = ('dirty', 'uploading')  # looked at again until they are over
AGAIN = 2  # seconds until then
MOST_WATCHED = 500
MOST_VERSIONS = 20
QUICK = 2  # seconds that a menu may take to appear
SLOW = 24 * 3600  # a link waits until its file is uploaded


class Refused(Exception):
    """What the process that holds the mount says when it can't do something, in one sentence."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__('megadisk', timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(path, what, request, timeout=QUICK):
    """Asks the process behind a control socket."""
    connection = _Connection(path, timeout)
    try:
        connection.request('POST', '/' + what, json.dumps(request))
        response = connection.getresponse()
        answer = json.loads(response.read() or b'null')
    finally:
        connection.close()
    if response.status != 200:
        raise Refused(answer['error'])
    return answer


def runtime():
    """The folder of the control sockets, found as the program finds it."""
    uid, folder = os.getuid(), os.environ.get('XDG_RUNTIME_DIR', '')
    if uid == 0 and folder in ('', '/run/user/0'):
        return '/run/megadisk'
    if os.path.isabs(folder):
        return os.path.join(folder, 'megadisk')
    if os.access('/run/user/%d' % uid, os.W_OK | os.X_OK):
        return '/run/user/%d/megadisk' % uid
    return '/tmp/megadisk-%d' % uid


def sockets():
    """The control sockets of this user."""
    folder = runtime()
    try:
        if os.lstat(folder).st_uid != os.getuid():
            return []
        return [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith('.sock')]
    except OSError:
        return []


def holder(path):
    """The control socket of the process that shows a path, or None."""
    best, found = '', None
    for candidate in sockets():
        try:
            mounts = ask(candidate, 'status', {})['mounts']
        except (OSError, ValueError, http.client.HTTPException, Refused):
            continue
        for point in (m['mountpoint'] for m in mounts):
            if (path == point or path.startswith(point.rstrip('/') + '/')) and len(point) > len(best):
                best, found = point, candidate
    return found


class Mounts:
    """Where drives are shown, looked up at most once a second."""

    def __init__(self):
        self.points, self.looked = (), 0.0

    def has(self, path):
        now = time.monotonic()
        if not self.looked or now - self.looked > 1:
            self.points, self.looked = tuple(self._read()), now
        return any(path == p or path.startswith(p + '/') for p in self.points)

    @staticmethod
    def _read():
        with open('/proc/self/mountinfo', encoding='utf-8', errors='surrogateescape') as lines:
            for line in lines:
                before, _, after = line.partition(' - ')
                if after.split(' ', 1)[0] == 'fuse.megadisk':
                    point = before.split(' ')[4]
                    for code, char in (('\\040', ' '), ('\\011', '\t'), ('\\012', '\n'), ('\\134', '\\')):
                        point = point.replace(code, char)
                    yield point


MOUNTS = Mounts()


def path_of(file):
    """The local path of what a file manager shows, or None if that isn't in a drive."""
    location = file.get_location()
    path = location and location.get_path()
    return path if path and MOUNTS.has(path) else None


def state_of(path):
    """What user.mega.state says, '' if nothing."""
    try:
        return os.getxattr(path, 'user.mega.state').decode()
    except OSError:
        return ''


def tell(sentence):
    """Tells the person who clicked."""
    try:
        from gi.repository import Gio
        note = Gio.Notification.new('MEGA')
        note.set_body(sentence)
        Gio.Application.get_default().send_notification(None, note)
    except Exception:  # no application that could: better in its log than nowhere
        print('megadisk:', sentence, file=sys.stderr)


def copy_text(text):
    """Puts text into the clipboard, of GTK 4 or 3."""
    from gi.repository import Gdk
    display = Gdk.Display.get_default()
    if hasattr(display, 'get_clipboard'):
        display.get_clipboard().set(text)
        return
    from gi.repository import Gtk
    clipboard = Gtk.Clipboard.get(Gdk.SELECTION_CLIPBOARD)
    clipboard.set_text(text, -1)
    clipboard.store()


class MegadiskExtension(GObject.GObject, Host.InfoProvider, Host.MenuProvider, Host.ColumnProvider):
    def __init__(self):
        super().__init__()
        self.watched = {}  # path: file, of those whose state is about to change
        self.timer = False

    # States.

    def update_file_info(self, file):
        path = path_of(file)
        state = state_of(path) if path else ''
        emblem, word = STATES.get(state, ('', ''))
        file.add_string_attribute('megadisk_state', word)
        if emblem:
            file.add_emblem(emblem)
        if state in PASSING:
            self._watch(path, file, state)

    def get_columns(self):
        return (Host.Column(name='MegadiskColumn', attribute='megadisk_state', label='MEGA',
                            description='Where the content is, and whether it is in the cloud'),)

    def _watch(self, path, file, state):
        if len(self.watched) < MOST_WATCHED:
            self.watched[path] = (file, state)
        if not self.timer:
            self.timer = True
            GLib.timeout_add_seconds(AGAIN, self._look_again)

    def _look_again(self):
        for path, (file, state) in list(self.watched.items()):
            if state_of(path) != state:
                del self.watched[path]
                file.invalidate_extension_info()
        self.timer = bool(self.watched)
        return self.timer

    # The menu.

    def get_file_items(self, *args):
        """Nautilus 43 gives the files, all others a window before them."""
        files = args[-1]
        paths = [path_of(file) for file in files]
        if not paths or None in paths:
            return []
        # A thread must not be waited for here, and the process answers from memory.
        process = holder(paths[0])
        if not process:
            return []
        each = list(zip(files, paths))
        item = Host.MenuItem(name='Megadisk::Menu', label='MEGA', tip='What can be done with it in the cloud')
        menu = Host.Menu()
        item.set_submenu(menu)
        self._add(menu, 'Pin', 'Keep Here', self._for_each, process, 'pin', each)
        if any(state_of(path) == 'pinned' for path in paths):
            self._add(menu, 'Unpin', "Don't Keep Here", self._for_each, process, 'unpin', each)
        self._add(menu, 'Free', 'Free Up Space', self._for_each, process, 'free', each)
        if len(paths) == 1:
            self._add(menu, 'Link', 'Copy Link', self._copy_link, process, paths[0])
            if os.path.isfile(paths[0]):
                self._add_versions(menu, process, *each[0])
        return [item]

    def get_background_items(self, *args):
        return self.get_file_items([args[-1]])

    def _add(self, menu, name, label, do, *args):
        item = Host.MenuItem(name='Megadisk::' + name, label=label, tip='')
        item.connect('activate', lambda _, *rest: do(*args))
        menu.append_item(item)
        return item

    def _add_versions(self, menu, process, file, path):
        try:
            versions = ask(process, 'versions', path) or []
        except (OSError, ValueError, http.client.HTTPException, Refused):
            return
        parent = Host.MenuItem(name='Megadisk::Versions', label='Earlier Versions', tip='', sensitive=bool(versions))
        menu.append_item(parent)
        if not versions:
            return
        list_ = Host.Menu()
        parent.set_submenu(list_)
        for n, version in enumerate(reversed(versions[-MOST_VERSIONS:])):
            label = 'Restore %s (%s)' % (version['time'], GLib.format_size(version['size']))
            self._add(list_, 'Version%d' % n, label, self._restore, process, file, path, version['time'])

    # What the menu does.

    def _for_each(self, process, what, each):
        def work():
            for _, path in each:
                ask(process, what, path, SLOW)
        self._in_background(work, lambda _: [file.invalidate_extension_info() for file, _ in each])

    def _copy_link(self, process, path):
        def done(link):
            copy_text(link)
            tell('The link is in the clipboard.')
        self._in_background(lambda: ask(process, 'link', {'Path': path}, SLOW), done)

    def _restore(self, process, file, path, when):
        self._in_background(lambda: ask(process, 'restore', {'Path': path, 'Time': when}, SLOW),
                            lambda _: file.invalidate_extension_info())

    @staticmethod
    def _in_background(work, done):
        def run():
            try:
                answer = work()
            except Refused as why:
                then(tell, str(why))
            except (OSError, ValueError, http.client.HTTPException):
                then(tell, "The process that shows the drive doesn't answer.")
            else:
                then(done, answer)

        def then(do, what):
            def once():
                do(what)
                return False
            GLib.idle_add(once)
        threading.Thread(target=run, daemon=True).start()
