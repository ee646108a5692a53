"""Plays a file manager with the extension: manager.py EXTENSION. A line is a list [state|menu|click|again, PATH, LABEL...]; answers are in JSON."""
import importlib.util
import json
import sys

from gi.repository import GLib, Gdk, Gio


class File:
    def __init__(self, path):
        self.path, self.emblems, self.attributes, self.stale = path, [], {}, False

    def get_location(self):
        return self

    def get_path(self):
        return self.path

    def add_emblem(self, name):
        self.emblems.append(name)

    def add_string_attribute(self, name, value):
        self.attributes[name] = value

    def invalidate_extension_info(self):
        self.stale = True


def labels(items):
    return {i.label: labels(i.submenu.items) if i.submenu else None for i in items}


def click(items, label, *rest):
    item = next(i for i in items if i.label.startswith(label))
    if rest:
        return click(item.submenu.items, *rest)
    item.activate(item)
    GLib.pump()


spec = importlib.util.spec_from_file_location('megadisk', sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
extension = module.MegadiskExtension()
files = {}


def answer(what, path, *rest):
    if what == 'again':  # the timer of what is watched
        goes_on = GLib.timers.pop()()
        return {'stale': files[path].stale, 'goes_on': goes_on}
    file = files[path] = File(path)
    Gdk.Clipboard.text, Gio.said = None, []
    if what == 'state':
        extension.update_file_info(file)
        return {'emblems': file.emblems, 'word': file.attributes[extension.get_columns()[0].attribute]}
    if what == 'menu':
        return labels(extension.get_file_items([file]))
    click(extension.get_file_items('a window', [file]), 'MEGA', *rest)
    return {'clipboard': Gdk.Clipboard.text, 'said': Gio.said, 'stale': file.stale}


for line in sys.stdin:
    print(json.dumps(answer(*json.loads(line))), flush=True)
