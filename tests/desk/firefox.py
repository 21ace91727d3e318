#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The desk, as a person meets it in Firefox (TAP): the same tests as in Chromium.

    tests/desk/firefox.py [--pictures DIR]

Headless, driven by Firefox's own WebDriver BiDi, as Debian has no geckodriver.
All that it would ask the world outside goes to a proxy of ours, which notes
it and hangs up.
"""
import base64
import json
import os
import shutil
import socket
import sys
import threading

import websocket

from common import OUT, Child, Failed, expect
from page import LOAD_S, OWN_READING, Page
import run

FIREFOX = '/usr/bin/firefox-esr'
PROFILE = f'{OUT}/firefox'
START_S, END_S = 60, 20
EVENTS = ['log.entryAdded', 'network.beforeRequestSent', 'script.message']
# It has no business anywhere.  What these forget is found by the proxy, and fails a test.
PREFERENCES = {
    'app.normandy.enabled': False,
    'app.update.disabledForTesting': True,
    'browser.aboutwelcome.enabled': False,
    'browser.contentblocking.category': 'custom',
    'browser.discovery.enabled': False,
    'browser.newtabpage.enabled': False,
    'browser.region.network.url': '',
    'browser.safebrowsing.downloads.enabled': False,
    'browser.safebrowsing.malware.enabled': False,
    'browser.safebrowsing.phishing.enabled': False,
    'browser.search.update': False,
    'browser.shell.checkDefaultBrowser': False,
    'browser.startup.homepage_override.mstone': 'ignore',
    'browser.startup.page': 0,
    'datareporting.healthreport.uploadEnabled': False,
    'datareporting.policy.dataSubmissionEnabled': False,
    'dom.push.enabled': False,
    'extensions.getAddons.cache.enabled': False,
    'extensions.systemAddon.update.enabled': False,
    'extensions.update.enabled': False,
    'media.gmp-manager.updateEnabled': False,
    'messaging-system.rsexperimentloader.enabled': False,
    'network.captive-portal-service.enabled': False,
    'network.connectivity-service.enabled': False,
    'network.dns.disablePrefetch': True,
    'network.prefetch-next': False,
    'network.trr.mode': 5,
    'services.settings.server': 'data:,#remote-settings-dummy/v1',
    'toolkit.telemetry.enabled': False,
    'toolkit.telemetry.server': '',
    # 127.0.0.1 is never asked through a proxy; nothing else without it
    'network.proxy.allow_bypass': False,
    'network.proxy.http': '127.0.0.1',
    'network.proxy.ssl': '127.0.0.1',
    'network.proxy.type': 1,
}
# BiDi tells of no WebSocket
TELL_SOCKETS = """
tell => {
    window.WebSocket = new Proxy(WebSocket, {
        construct(target, args) {
            tell(args[0]);
            return Reflect.construct(target, args);
        },
    });
}
"""
# Where to press, if it is not covered
MIDDLE = """
const e = document.querySelector(arguments[0]);
e.scrollIntoView({ block: 'nearest' });
const box = e.getBoundingClientRect(), x = Math.round(box.x + box.width / 2), y = Math.round(box.y + box.height / 2);
return e.contains(document.elementFromPoint(x, y)) ? [x, y] : null;
"""


class Outside:
    """All of the world but 127.0.0.1, as a proxy: what it was asked, and no answer"""

    def __init__(self):
        self.asked_for = []
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            connection, _ = self.listener.accept()
            with connection:
                connection.settimeout(5)
                where = (connection.recv(4096).decode(errors='replace').split() + ['?', '?'])[1]
                self.asked_for.append(where if '://' in where else f'connect://{where}')


class BiDi:
    """WebDriver BiDi: one question, one answer, and events at any time"""

    def __init__(self, url):
        # Firefox refuses whoever has an origin: that would be a page
        self.socket = websocket.create_connection(url, LOAD_S, suppress_origin=True)
        self.asked, self.events = 0, []

    def ask(self, method, **params):
        self.asked += 1
        self.socket.send(json.dumps({'id': self.asked, 'method': method, 'params': params}))
        while True:
            said = json.loads(self.socket.recv())
            if said.get('id') == self.asked:
                expect('result' in said, f'{method}: {said.get("error")}: {said.get("message")}')
                return said['result']
            self.events.append(said)


def write_profile(proxy_port):
    """A new one each time"""
    shutil.rmtree(PROFILE, ignore_errors=True)
    os.makedirs(PROFILE)
    wanted = dict(PREFERENCES, **{'network.proxy.http_port': proxy_port, 'network.proxy.ssl_port': proxy_port})
    with open(f'{PROFILE}/user.js', 'w', encoding='utf-8') as f:
        f.writelines(f'user_pref({json.dumps(name)}, {json.dumps(value)});\n' for name, value in wanted.items())


class Firefox(Page):
    """By its own WebDriver BiDi"""

    def __init__(self, pictures=None):
        expect(os.path.exists(FIREFOX), f'{FIREFOX} is missing; as root: scripts/packages.sh desk-test')
        self.outside = Outside()
        write_profile(self.outside.port)
        self.child = Child(['env', f'HOME={PROFILE}', 'MOZ_REMOTE_SETTINGS_DEVTOOLS=1', FIREFOX, '--headless', '--no-remote', '--profile', PROFILE,
                            '--remote-debugging-port', '0'])
        try:
            url = self.child.says(r'WebDriver BiDi listening on (ws://\S+)', START_S)[1]
            self.bidi = BiDi(url + '/session')
            self.bidi.ask('session.new', capabilities={})
            self.bidi.ask('session.subscribe', events=EVENTS)
            self.bidi.ask('script.addPreloadScript', functionDeclaration=TELL_SOCKETS,
                          arguments=[{'type': 'channel', 'value': {'channel': 'sockets'}}])
            self.new_tab()
            super().__init__(pictures)
        except BaseException:
            self.child.process.kill()
            raise

    def new_tab(self):
        self.tab_id = self.bidi.ask('browsingContext.create', type='tab')['context']

    def in_tab(self, method, **params):
        return self.bidi.ask(method, context=self.tab_id, **params)

    def size(self, size):
        self.viewport = size
        self.in_tab('browsingContext.setViewport', viewport={'width': size[0], 'height': size[1]}, devicePixelRatio=1)

    def go(self, url):
        """In a new tab: Tab may have led out of the old one, to Firefox's own buttons"""
        self.in_tab('browsingContext.close')
        self.new_tab()
        self.size(self.viewport)
        self.in_tab('browsingContext.navigate', url=url, wait='complete')

    def script(self, text, *args):
        """As JSON there and back; what it promises is waited for"""
        body = f'async (args) => JSON.stringify(await (function () {{ {text}\n }}).apply(null, JSON.parse(args)) ?? null)'
        done = self.bidi.ask('script.callFunction', functionDeclaration=body, awaitPromise=True, target={'context': self.tab_id},
                             arguments=[{'type': 'string', 'value': json.dumps(args)}])
        if done['type'] == 'exception':
            raise Failed(f'{text.strip()[:60]}: {done["exceptionDetails"]["text"]}')
        return json.loads(done['result']['value'])

    def capture(self, box):
        clip = dict(zip(('x', 'y', 'width', 'height'), box), type='box')
        return base64.b64decode(self.in_tab('browsingContext.captureScreenshot', clip=clip)['data'])

    def click(self, css):
        middle = self.script(MIDDLE, css)
        expect(middle, f'{css} is covered')
        press = [{'type': 'pointerMove', 'x': middle[0], 'y': middle[1]}, {'type': 'pointerDown', 'button': 0},
                 {'type': 'pointerUp', 'button': 0}]
        self.in_tab('input.performActions', actions=[{'type': 'pointer', 'id': 'mouse', 'actions': press}])

    def strokes(self, moves):
        typed = [{'type': 'keyDown' if down else 'keyUp', 'value': key} for down, key in moves]
        self.in_tab('input.performActions', actions=[{'type': 'key', 'id': 'keyboard', 'actions': typed}])

    def read_logs(self):
        self.bidi.ask('session.status')         # and all events before its answer
        for event in self.bidi.events:
            what = event['params']
            if event['method'] == 'network.beforeRequestSent':
                self.asked_for.append(what['request']['url'])
            elif event['method'] == 'script.message':
                self.asked_for.append(what['data']['value'])
            elif what['level'] in ('error', 'warn') and OWN_READING not in what['text']:
                self.console.append(what['text'])
        self.bidi.events = []
        self.asked_for += self.outside.asked_for
        self.outside.asked_for = []

    def close(self):
        try:
            self.bidi.ask('browser.close')
            self.child.process.wait(END_S)
        finally:
            self.child.process.kill()           # if it has not ended
            self.child.process.wait()


if __name__ == '__main__':
    sys.exit(run.main(run.FRONT + run.LAST, Firefox))
