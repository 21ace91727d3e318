# SPDX-License-Identifier: GPL-2.0-or-later
"""The desk in headless Chromium: what a person does there, and what the page shows."""
import base64
import json
import os
import re
import subprocess
import time
import urllib.parse

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from common import OUT, Failed, expect, wait_for
from png import shrink

WIDE, NARROW = (1280, 800), (390, 844)
OWN_READING = 'willReadFrequently'      # the console on what canvas() does
PIXELS = """
const canvas = document.querySelector('#' + arguments[0] + ' canvas');
if (!canvas) return null;
const rgba = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
const rgb = new Uint8Array(rgba.length / 4 * 3);
for (let n = 0; n < rgba.length / 4; n++) rgb.set(rgba.subarray(n * 4, n * 4 + 3), n * 3);
let text = '';
for (let n = 0; n < rgb.length; n += 8192) text += String.fromCharCode(...rgb.subarray(n, n + 8192));
return [canvas.width, canvas.height, btoa(text)];
"""
# Whole in the window, and nothing lies over its middle
IN_SIGHT = """
const box = document.querySelector(arguments[0]).getBoundingClientRect();
const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
return box.width > 0 && box.height > 0 && box.top >= 0 && box.left >= 0 && box.bottom <= innerHeight
    && box.right <= innerWidth && !!top && (top.matches(arguments[0] + ', ' + arguments[0] + ' *'));
"""
AXE_RUN = """
const done = arguments[0];
axe.run(document, { preload: false, resultTypes: ['violations'] }).then(
    r => done(r.violations.map(v => [v.impact, v.id, v.nodes.map(n => n.target.join(' ')).join(', ')])),
    e => done([['critical', 'axe', String(e)]]));
"""
OUTLINE = """
const e = document.activeElement, s = getComputedStyle(e);
return [e.dataset.do || e.id || e.tagName, s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2];
"""


def axe_source():
    """axe-core as npm has it, fetched once"""
    path = f'{OUT}/node_modules/axe-core/axe.min.js'
    if not os.path.exists(path):
        done = subprocess.run(['npm', 'install', '--no-audit', '--no-fund', '--ignore-scripts', '--prefix', OUT, 'axe-core'],
                              capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, check=False)
        expect(done.returncode == 0, f'npm install axe-core: {done.stderr}')
    with open(path, encoding='utf-8') as f:
        return f.read()


class Page:
    """The browser with the desk in it"""

    def __init__(self, pictures=None):
        options = Options()
        options.binary_location = '/usr/bin/chromium'
        for argument in ('--headless=new', '--no-sandbox', '--disable-dev-shm-usage', '--disable-lcd-text',
                         '--disable-background-networking', '--window-size=1300,1000'):
            options.add_argument(argument)
        options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
        self.browser = webdriver.Chrome(service=Service('/usr/bin/chromedriver'), options=options)
        self.browser.set_page_load_timeout(30)
        self.browser.set_script_timeout(30)
        self.axe, self.pictures, self.url = axe_source(), pictures, None
        self.console, self.asked_for = [], []
        self.size(WIDE)

    def size(self, size):
        self.browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', {
            'width': size[0], 'height': size[1], 'deviceScaleFactor': 1, 'mobile': False})

    def open(self, url):
        self.url = url
        self.browser.get(url)

    def script(self, text, *args):
        return self.browser.execute_script(text, *args)

    def one(self, css):
        return self.browser.find_element('css selector', css)

    # ---- what it shows ----

    def text(self, where):
        return self.script('return document.getElementById(arguments[0]).innerText', where)

    def wait_text(self, where, pattern, limit=20):
        try:
            return wait_for(pattern, lambda: re.search(pattern, self.text(where)), limit)
        except Failed as e:
            raise Failed(f'"{where}" says "{self.text(where)}", not "{pattern}"') from e

    def canvas(self, where):
        found = self.script(PIXELS, where)
        return (found[0], found[1], base64.b64decode(found[2])) if found else None

    def in_sight(self, css):
        return self.script(IN_SIGHT, css)

    def picture(self, name, clip=None):
        """A picture for the docs, if any are wanted"""
        if self.pictures:
            box = clip or dict(zip(('x', 'y', 'width', 'height'), (0, 0, *WIDE)))
            shot = self.browser.execute_cdp_cmd('Page.captureScreenshot', {
                'format': 'png', 'clip': dict(box, scale=1)})
            with open(os.path.join(self.pictures, name), 'wb') as f:
                f.write(shrink(base64.b64decode(shot['data'])))

    def accessible(self):
        """axe-core: no serious or critical finding"""
        self.script('if (!window.axe) { ' + self.axe + '; window.axe = axe; }')
        found = self.browser.execute_async_script(AXE_RUN)
        bad = [f for f in found if f[0] in ('serious', 'critical')]
        expect(not bad, f'axe-core: {bad}')

    # ---- what a person does ----

    def press(self, what):
        self.one(f'button[data-do={what}]').click()

    def type(self, text):
        self.one('#keys').send_keys(text)

    def tap(self, code):
        self.one(f'#keys [data-code={code}]').click()

    def tap_line(self, text):
        for c in text:
            if c.isupper():
                self.tap('ShiftLeft')
            self.tap('Space' if c == ' ' else f'Digit{c}' if c.isdigit() else f'Key{c.upper()}')
        self.tap('Enter')

    def keys(self, *keys):
        """To whatever has the focus"""
        chain = ActionChains(self.browser)
        for k in ''.join(keys):         # a person holds Shift for a capital
            chain = chain.key_down(Keys.SHIFT).send_keys(k).key_up(Keys.SHIFT) if k.isupper() else chain.send_keys(k)
        chain.perform()

    def tab(self, back=False):
        """Returns what has the focus now, and whether one sees that"""
        if back:
            ActionChains(self.browser).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()
        else:
            self.keys(Keys.TAB)
        return self.script(OUTLINE)

    # ---- what it did that nobody sees ----

    def read_logs(self):
        self.console += [e['message'] for e in self.browser.get_log('browser')
                         if e['level'] in ('SEVERE', 'WARNING') and OWN_READING not in e['message']]
        for entry in self.browser.get_log('performance'):
            message = json.loads(entry['message'])['message']
            if message['method'] == 'Network.requestWillBeSent':
                self.asked_for.append(message['params']['request']['url'])
            elif message['method'] == 'Network.webSocketCreated':
                self.asked_for.append(message['params']['url'])

    def hosts(self):
        self.read_logs()
        urls = [urllib.parse.urlsplit(u) for u in self.asked_for if not u.startswith(('data:', 'blob:'))]
        return {u.hostname for u in urls}, {u.scheme for u in urls}

    def blocked(self, url):
        """Does the page's own policy keep it from asking there?"""
        before = time.monotonic()
        self.script('fetch(arguments[0]).catch(() => {})', url)
        return wait_for('the policy to say so', lambda: (self.read_logs() or [
            m for m in self.console if 'Content Security Policy' in m]), 5) and time.monotonic() - before

    def close(self):
        self.browser.quit()
