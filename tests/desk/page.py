# SPDX-License-Identifier: GPL-2.0-or-later
"""The desk in a browser: what a person does there, and what the page shows; headless Chromium (firefox.py has Firefox)."""
import base64
import json
import os
import re
import subprocess
import urllib.parse

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains

from common import OUT, Failed, expect, wait_for
from png import picture, shrink

WIDE, NARROW = (1280, 800), (390, 844)
TAB, RETURN, SHIFT = '\ue004', '\ue006', '\ue008'        # as WebDriver has them
LOAD_S = 30
OWN_READING = 'willReadFrequently'      # the console on what canvas() does
PIXELS = """
const canvas = document.querySelector('#' + arguments[0] + ' canvas');
if (!canvas || !canvas.width || !canvas.height) return null;
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
return axe.run(document, { preload: false, resultTypes: ['violations'] }).then(
    r => r.violations.map(v => [v.impact, v.id, v.nodes.map(n => n.target.join(' ')).join(', ')]),
    e => [['critical', 'axe', String(e)]]);
"""
BOX = """
const box = document.querySelector(arguments[0]).getBoundingClientRect();
return [box.x, box.y, box.width, box.height].map(Math.round);
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


def chord(*keys):
    """Down in this order, up in the other"""
    return [(True, k) for k in keys] + [(False, k) for k in reversed(keys)]


class Page:
    """The desk as any browser has it.  Each gives: go, size, script, click, strokes, capture, read_logs, close"""

    def __init__(self, pictures=None):
        self.axe, self.pictures = axe_source(), pictures
        self.console, self.asked_for = [], []
        self.size(WIDE)

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

    def drawn(self, css):
        """What one sees there"""
        return picture(self.capture(self.script(BOX, css)))

    def in_sight(self, css):
        return self.script(IN_SIGHT, css)

    def picture(self, name, size=WIDE):
        """A picture for the docs, if any are wanted"""
        if self.pictures:
            with open(os.path.join(self.pictures, name), 'wb') as f:
                f.write(shrink(self.capture((0, 0, *size))))

    def accessible(self):
        """axe-core: no serious or critical finding"""
        self.script('if (!window.axe) { ' + self.axe + '; window.axe = axe; }')
        bad = [f for f in self.script(AXE_RUN) if f[0] in ('serious', 'critical')]
        expect(not bad, f'axe-core: {bad}')

    # ---- what a person does ----

    def press(self, what):
        self.click(f'button[data-do={what}]')

    def type(self, text):
        self.script('document.getElementById("keys").focus()')
        self.keys(text)

    def tap(self, code):
        self.click(f'#keys [data-code={code}]')

    def tap_line(self, text):
        for c in text:
            if c.isupper():
                self.tap('ShiftLeft')
            self.tap('Space' if c == ' ' else f'Digit{c}' if c.isdigit() else f'Key{c.upper()}')
        self.tap('Enter')

    def keys(self, text):
        """To whatever has the focus"""
        self.strokes([move for c in text.replace('\n', RETURN)      # a person holds Shift for a capital
                      for move in (chord(SHIFT, c) if c.isupper() else chord(c))])

    def tab(self, back=False):
        """Returns what has the focus now, and whether one sees that"""
        self.strokes(chord(SHIFT, TAB) if back else chord(TAB))
        return self.script(OUTLINE)

    # ---- what it did that nobody sees ----

    def hosts(self):
        self.read_logs()
        urls = [urllib.parse.urlsplit(u) for u in self.asked_for if not u.startswith(('data:', 'blob:'))]
        return {u.hostname for u in urls}, {u.scheme for u in urls}

    def blocked(self, url):
        """Does the page's own policy keep it from asking there?"""
        self.script('fetch(arguments[0]).catch(() => {})', url)
        return wait_for('the policy to say so', lambda: (self.read_logs() or [
            m for m in self.console if re.search('Content.Security.Policy', m)]), 5)


class Chromium(Page):
    """By its driver"""

    def __init__(self, pictures=None):
        options = Options()
        options.binary_location = '/usr/bin/chromium'
        for argument in ('--headless=new', '--no-sandbox', '--disable-dev-shm-usage', '--disable-lcd-text',
                         '--disable-background-networking', '--window-size=1300,1000'):
            options.add_argument(argument)
        options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
        self.browser = webdriver.Chrome(service=Service('/usr/bin/chromedriver'), options=options)
        self.browser.set_page_load_timeout(LOAD_S)
        self.browser.set_script_timeout(LOAD_S)
        super().__init__(pictures)

    def size(self, size):
        self.browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', {
            'width': size[0], 'height': size[1], 'deviceScaleFactor': 1, 'mobile': False})

    def go(self, url):
        self.browser.get(url)

    def script(self, text, *args):
        return self.browser.execute_script(text, *args)

    def capture(self, box):
        clip = dict(zip(('x', 'y', 'width', 'height'), box), scale=1)
        shot = self.browser.execute_cdp_cmd('Page.captureScreenshot', {'format': 'png', 'clip': clip})
        return base64.b64decode(shot['data'])

    def click(self, css):
        self.browser.find_element('css selector', css).click()

    def strokes(self, moves):
        chain = ActionChains(self.browser)
        for down, key in moves:
            chain = chain.key_down(key) if down else chain.key_up(key)
        chain.perform()

    def read_logs(self):
        self.console += [e['message'] for e in self.browser.get_log('browser')
                         if e['level'] in ('SEVERE', 'WARNING') and OWN_READING not in e['message']]
        for entry in self.browser.get_log('performance'):
            message = json.loads(entry['message'])['message']
            if message['method'] == 'Network.requestWillBeSent':
                self.asked_for.append(message['params']['request']['url'])
            elif message['method'] == 'Network.webSocketCreated':
                self.asked_for.append(message['params']['url'])

    def close(self):
        self.browser.quit()
