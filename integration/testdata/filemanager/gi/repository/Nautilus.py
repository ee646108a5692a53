class InfoProvider:
    pass


class MenuProvider:
    pass


class ColumnProvider:
    pass


class Column:
    def __init__(self, name, attribute, label, description):
        self.attribute = attribute


class Menu:
    def __init__(self):
        self.items = []

    def append_item(self, item):
        self.items.append(item)


class MenuItem:
    def __init__(self, name, label, tip, sensitive=True):
        self.label, self.submenu, self.activate = label, None, None

    def connect(self, signal, fn):
        assert signal == 'activate'
        self.activate = fn

    def set_submenu(self, menu):
        self.submenu = menu
