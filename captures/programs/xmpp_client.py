"""Logs in over XMPP with slixmpp, and leaves: PORT JID PASSWORD tls|clear."""
import sys

import slixmpp

port, jid, password, how = sys.argv[1:]


class Client(slixmpp.ClientXMPP):
    def __init__(self):
        super().__init__(jid, password)
        self["feature_mechanisms"].unencrypted_plain = True
        self["feature_mechanisms"].unencrypted_scram = True
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("failed_all_auth", self.leave)

    async def started(self, _event):
        await self.get_roster()
        self.leave()

    def leave(self, _event=None):
        self.disconnect()


client = Client()
client.connect(address=("127.0.0.1", int(port)), disable_starttls=how == "clear")
client.loop.call_later(8, client.abort)
client.process(forever=False)
