said = []


class Notification:
    @staticmethod
    def new(_):
        return Notification()

    def set_body(self, text):
        self.text = text


class Application:
    @staticmethod
    def get_default():
        return Application()

    def send_notification(self, _, note):
        said.append(note.text)
