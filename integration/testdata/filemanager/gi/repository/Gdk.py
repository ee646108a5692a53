class Clipboard:
    text = None

    def set(self, text):
        Clipboard.text = text


class Display:
    @staticmethod
    def get_default():
        return Display()

    def get_clipboard(self):
        return Clipboard()
