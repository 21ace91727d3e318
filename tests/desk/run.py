#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The desk, as a person meets it in Chromium, and what it refuses (TAP).  firefox.py does the first in Firefox.

    tests/desk/run.py [--pictures DIR]      DIR: where the pictures of docs/system/desk.rst go
"""
import argparse
import http.client
import json
import os
import re
import sys
import time
import urllib.parse

from common import OUT, TOP, Child, Failed, expect, expect_lcd, free_display, run_tests, slowness, wait_for, walkthrough
from page import NARROW, WIDE, Chromium

READY_S = 5                     # from a built tree to a page that is ready
READY = r'runs trusted, as .Thimble.\. Its name is on the LCD: type a passphrase'
IMPORTANT = ('[data-do=trusted]', '[data-do=untrusted]', '[data-do=attack]', '[data-do=kill]', '#said', '#screen',
             '#lcd', '#keys', '#stick', '#plug', '#contexts', '#owner', '#denials')
ROUNDED = 6                     # border-radius of .glass
DAMAGED_BYTE = 40               # of the key: in its first entry
SECRET = re.escape(walkthrough.secret())


class Desk:
    """The desk, its machine, and the browser in which it is open"""

    def __init__(self, browser, pictures):
        self.page = browser(pictures)
        self.begun = time.monotonic()
        self.child = Child([sys.executable, f'{TOP}/desk/desk.py', '--port', '0', '--lines', '--display',
                            str(free_display()), '--out', OUT], f'{OUT}/top.qmp')

    def comes_up(self):
        self.url = self.child.says(r'http://\S+')[0]
        self.page.go(self.url)
        self.page.wait_text('said', READY)
        self.took = time.monotonic() - self.begun
        print(f'# from start to page ready and Thimble waiting: {self.took:.1f} s', flush=True)
        parts = urllib.parse.urlsplit(self.url)
        self.host, self.token = parts.netloc, urllib.parse.parse_qs(parts.query)['token'][0]

    def lcd_is(self, name='', text='', alert=''):
        """Machine and page agree, to the pixel"""
        self.child.wait_lcd(name, text, alert)
        wait_for('the page to follow', lambda: self.page.canvas('lcd') == self.child.screendump('kbd0'), 5)
        expect_lcd(self.page.canvas('lcd'), name, text, alert)

    def contexts(self):
        return json.loads(self.child.get('/machine/arbiter', 'report'))['contexts']

    def one_context(self, kind, name=''):
        found = wait_for('one context', lambda: len(self.contexts()) == 1 and self.contexts()[0])
        expect((found['kind'], found.get('name') or '') == (kind, name), f'the context is {found}')

    def proof(self):
        said = self.child.wait_line('^os: .*proof: ')
        expect(said.endswith(walkthrough.proof()), f'"{said}" is not the proof of the passphrase')

    def run_trusted(self):
        self.page.press('trusted')
        wait_for('a new start', lambda: self.child.find('^visor: granted') and not self.child.find('^os: .*proof'))
        self.child.wait_line('^visor: the OS waits for keys')
        self.child.wait_lcd('Thimble')

    def close(self):
        self.child.stop()
        self.page.close()


# ---- four buttons, keyboard, key ----

def ready(d):
    expect(d.took < READY_S * slowness(), f'it was ready after {d.took:.1f} s only')
    d.one_context('trusted', 'Thimble')
    d.lcd_is('Thimble')
    d.page.wait_text('owner', r'"Thimble", and nobody else')
    d.page.wait_text('contexts', r'"Thimble", trusted: \d+ pages that nobody else reaches')
    d.page.picture('desk.png')


def drawn(d):
    d.lcd_is('Thimble')
    expect_lcd(d.page.drawn('#lcd canvas'), 'Thimble', corners=ROUNDED)


def screen(d):
    wait_for('the same pixels', lambda: d.page.canvas('screen') == d.child.screendump('screen'), 5)
    expect(len(set(d.page.canvas('screen')[2])) > 1, 'the screen is empty')


def fits(d):
    hidden = [css for css in IMPORTANT if not d.page.in_sight(css)]
    expect(not hidden, f'not in the window without scrolling: {hidden}')


def passphrase(d):
    d.page.type(walkthrough.PASSPHRASE + '\n')
    d.proof()
    expect(not d.child.find('^visor: .*(key came through|you typed)'), "the 'visor saw a key")


def question(d):
    d.child.wait_line('^visor: the OS waits for an answer')
    d.lcd_is('Thimble', walkthrough.QUESTION)
    d.page.wait_text('said', r'The LCD asks: .Pay 20 to bob\? y/n')
    expect('passphrase' not in d.page.text('said'), 'the page says that a passphrase is wanted')
    expect(d.child.find(re.escape(walkthrough.FORGED)), 'the screen does not show another question')
    d.page.picture('desk-question.png')


def answer(d):
    d.page.type('y\n')
    expect('yes' in d.child.wait_line('^os: Thimble: you said '), 'the OS understood something else')
    d.lcd_is()
    d.page.wait_text('owner', "^The .visor")


def verdict(d):
    said = d.child.wait_line(r'^attack: \d+ tries')
    tries, refused = map(int, re.search(r'(\d+) tries, (\d+) refused', said).groups())
    expect(tries == refused and tries >= 20 and not d.child.find('BREACH'), '\n'.join([said, *d.child.find('BREACH')]))
    expect(not d.child.find(SECRET), "the 'visor has printed the secret")
    d.page.wait_text('said', f'The last attack: {tries} tries, {tries} refused')


def attack(d):
    before = d.child.denials()
    d.page.press('attack')
    verdict(d)
    expect(d.child.denials() > before, 'the hardware recorded no denial')
    d.page.wait_text('denials', r'\d+\s*by rule A2')
    d.one_context('trusted', 'Thimble')
    d.page.wait_text('requests', r'refused \(')
    d.page.picture('desk-attack.png')


def devices(d):
    return {item['name'] for item in d.child.qmp('qom-list', path='/machine/peripheral')}


def pull(d):
    expect('key0' in devices(d), 'there is no key to pull out')
    d.page.click('#plug')
    d.page.wait_text('plugged', 'in your pocket')
    expect('key0' not in devices(d), 'the key is still in the machine')
    d.one_context('trusted', 'Thimble')
    d.page.click('#plug')
    d.page.wait_text('plugged', 'plugged in')
    expect('key0' in devices(d), 'the key is not in the machine')


def untrusted(d):
    d.page.press('untrusted')
    d.page.wait_text('said', 'in an open context: no name on the LCD')
    expect('key0' not in devices(d), 'the key is still in the machine')
    d.child.wait_line('^visor: the OS waits for keys')
    d.one_context('open')
    d.lcd_is()


def read_open(d):
    d.page.type(walkthrough.PASSPHRASE + '\n')
    d.proof()
    expect(d.child.find(f'^visor: .* I know what you typed: {walkthrough.PASSPHRASE}$'), "the 'visor did not read along")
    d.page.wait_text('said', f'so I know what you typed: {walkthrough.PASSPHRASE}')
    d.child.wait_line('^visor: the OS waits for an answer')
    d.lcd_is()
    d.page.type('y\n')
    d.child.wait_line('^os: Thimble: you said yes')
    d.page.press('attack')
    expect(d.child.wait_line('^visor: I can read its memory').endswith(walkthrough.secret()), 'that is not the secret')
    d.page.wait_text('said', 'I can read its memory')
    d.page.picture('desk-open.png')


def damaged(d):
    """52: the key is damaged while it is out"""
    key, bad = f'{OUT}/key.img', 'key is damaged (checksum)'
    with open(key, 'r+b') as f:
        whole = f.read()
        f.seek(DAMAGED_BYTE)
        f.write(bytes([whole[DAMAGED_BYTE] ^ 1]))
    d.page.press('trusted')
    d.page.wait_text('said', re.escape(f'The LCD warns: \u201c{bad}\u201d'))
    d.one_context('open')
    d.lcd_is(alert=bad)
    d.page.accessible()
    d.page.click('#plug')
    d.page.wait_text('plugged', 'in your pocket')
    with open(key, 'wb') as f:
        f.write(whole)


def attack_under_way(d):
    d.run_trusted()
    expect('key0' in devices(d), 'the button did not plug the key in')
    half = len(walkthrough.PASSPHRASE) // 2
    d.page.type(walkthrough.PASSPHRASE[:half])
    d.page.press('attack')
    d.page.type(walkthrough.PASSPHRASE[half:] + '\n')
    verdict(d)
    d.proof()
    d.child.wait_line('^visor: the OS waits for an answer')
    d.lcd_is('Thimble', walkthrough.QUESTION)
    expect(not d.child.find('^visor: .*(key came through|you typed)'), "the 'visor saw a key")


def at_once(d):
    def boots():
        return sum('visor: booted' in line for line in list(d.child.lines))
    before = boots()
    d.page.press('trusted')
    d.page.press('attack')
    wait_for('a new start', lambda: boots() > before)
    verdict(d)


def kill(d):
    d.page.press('kill')
    said = d.child.wait_line('^visor: killed the OS: all of its .* zeros')
    d.page.wait_text('said', 'No program runs in a context.*read as zeros')
    expect(not d.contexts() and 'killed' in said, f'contexts: {d.contexts()}')
    d.lcd_is()
    d.page.press('attack')
    d.page.wait_text('said', 'there is no OS')


# ---- by keyboard, in a narrow window, for everybody ----

def by_keyboard(d):
    d.page.go(d.url)
    d.page.wait_text('contexts', 'none')
    wait_for('the displays', lambda: d.page.canvas('lcd') and d.page.canvas('screen'))
    order, seen = [], []
    while len(order) < 12:
        name, visible = d.page.tab()
        if name == 'BODY' or name in order:
            break
        order.append(name)
        seen.append(visible)
    expect(order == ['trusted', 'untrusted', 'attack', 'kill', 'keys', 'plug', 'unplug', 'lines'] or
           order == ['trusted', 'untrusted', 'attack', 'kill', 'keys', 'unplug', 'lines'], f'Tab goes to {order}')
    expect(all(seen), f'one does not see where the focus is: {list(zip(order, seen))}')


def work_by_keyboard(d):
    """Button 1, its passphrase and the answer, then out again: Tab, Enter and letters alone"""
    d.page.go(d.url)
    d.page.wait_text('contexts', 'none')
    expect(d.page.tab()[0] == 'trusted', 'the first Tab does not lead to the first button')
    d.page.keys('\n')
    d.page.wait_text('said', READY)
    d.child.wait_lcd('Thimble')
    d.page.keys(walkthrough.PASSPHRASE + '\n')
    d.proof()
    d.child.wait_lcd('Thimble', walkthrough.QUESTION)
    d.page.keys('n\n')
    expect('no' in d.child.wait_line('^os: Thimble: you said ').split('said')[1][:4], 'the OS understood a yes')
    expect(d.page.tab(back=True)[0] == 'kill', 'Shift-Tab does not lead out of the keyboard')
    d.page.tab()
    expect(d.page.tab()[0] == 'unplug', 'Tab does not lead out of the keyboard')
    d.page.keys('\n')
    d.page.wait_text('plugged', 'in your pocket')


def narrow(d):
    d.page.size(NARROW)
    width = d.page.script('return document.documentElement.scrollWidth')
    expect(width <= NARROW[0], f'the page is {width} wide')
    d.run_trusted()
    d.lcd_is('Thimble')
    for css in ('#lcd', '#keys', '#screen'):
        d.page.script('document.querySelector(arguments[0]).scrollIntoView({block: "center"})', css)
        expect(d.page.in_sight(css), f'{css} does not fit into a narrow window')


def tap(d):
    d.page.tap_line(walkthrough.PASSPHRASE)
    d.proof()
    d.child.wait_line('^visor: the OS waits for an answer')
    d.lcd_is('Thimble', walkthrough.QUESTION)
    d.page.script('scrollTo(0, 0)')
    d.page.picture('desk-narrow.png', NARROW)
    d.page.accessible()
    d.page.tap_line('n')
    expect('you said no' in d.child.wait_line('^os: Thimble: you said '), 'the OS understood a yes')


def wide_again(d):
    d.page.size(WIDE)
    d.run_trusted()
    fits(d)


def accessible(d):
    d.page.accessible()


# ---- who is let in ----

def ask(d, method, path, body=None, **headers):
    """Status and text; a header that is None is left out"""
    fields = {'Host': d.host, 'X-Desk-Token': d.token}
    fields.update({name.replace('_', '-'): value for name, value in headers.items()})
    c = http.client.HTTPConnection(d.host, timeout=10)
    try:
        c.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in fields.items():
            if value is not None:
                c.putheader(name, value)
        if body is not None and 'Content-Length' not in fields:
            c.putheader('Content-Length', str(len(body)))
        c.endheaders(body)
        answer = c.getresponse()
        return answer.status, answer.read().decode(errors='replace')
    finally:
        c.close()


def own(d):
    return f'http://{d.host}'


def lets_in(d):
    """So that the refusals below are not refusals of everything"""
    expect(ask(d, 'GET', f'/?token={d.token}')[0] == 200, 'the page is refused')
    expect(ask(d, 'GET', '/state')[0] == 200, 'its questions are refused')
    expect(ask(d, 'POST', '/do', b'{"what": "plug"}', Origin=own(d))[0] == 200, 'its wishes are refused')


def refuses(d, wanted, cases):
    for case in cases:
        method, path, body, headers = (*case, {})[:4]
        status, text = ask(d, method, path, body, **headers)
        expect(status in wanted, f'{method} {path} {body} {headers}: status {status}')
        expect(d.token not in text and '"password"' not in text and '"contexts"' not in text, f'{path} tells: {text}')


def token(d):
    wrong = [{'X-Desk-Token': t} for t in (None, '', 'x', d.token[:-1], d.token + 'x', d.token.swapcase())]
    refuses(d, {403}, [('GET', path, None, h) for path in ('/state', '/displays') for h in wrong])
    refuses(d, {403}, [('POST', '/do', b'{"what": "kill"}', dict(h, Origin=own(d))) for h in wrong])
    refuses(d, {403}, [('GET', p, None) for p in ('/', '/?token=', '/?token=x', '/?token=' + d.token[:-1])])
    refuses(d, {403}, [('GET', '/state?token=' + d.token, None, {'X-Desk-Token': None})])


def origin(d):
    port = d.host.split(':')[1]
    others = ('http://example.org', 'null', f'https://{d.host}', f'http://localhost:{port}', 'http://127.0.0.1',
              f'http://127.0.0.1:{int(port) + 1}', f'http://{d.host}.example.org')
    refuses(d, {403}, [('POST', '/do', b'{"what": "kill"}', {'Origin': o}) for o in (None, *others)])
    refuses(d, {403}, [('GET', '/state', None, {'Origin': o}) for o in others])


def host(d):
    port = d.host.split(':')[1]
    others = (None, '', 'example.org', f'example.org:{port}', f'localhost:{port}', '127.0.0.1', f'127.0.0.1.:{port}')
    refuses(d, {400, 403}, [('GET', '/state', None, {'Host': h}) for h in others])
    refuses(d, {400, 403}, [('POST', '/do', b'{"what": "kill"}', {'Host': h, 'Origin': own(d)}) for h in others])


def method(d):
    refuses(d, {404, 501}, [(m, p, b'{"what": "kill"}', {'Origin': own(d)}) for m in ('PUT', 'DELETE', 'OPTIONS', 'PATCH', 'HEAD', 'X')
                            for p in ('/do', '/state')])
    refuses(d, {404}, [('GET', '/do', None), ('POST', '/state', b'{}', {'Origin': own(d)}), ('POST', '/displays', b'{}', {'Origin': own(d)})])


def body(d):
    bad = (b'', b'{', b'[]', b'"kill"', b'{}', b'{"what": "quit"}', b'{"what": ["kill"]}', b'{"what": null}',
           b'{"what": "kill\\u0000"}', b'{"what": "Kill"}', b'{"what": "__class__"}', b'\xff\xfe', b'{"what": "kill"}' + b' ' * 256,
           b'[' * 250, b'1' * 250)
    refuses(d, {400}, [('POST', '/do', b, {'Origin': own(d)}) for b in bad])
    lengths = (None, '-1', 'x', '1e3', '99999999999999999999', '+16', '')
    refuses(d, {400}, [('POST', '/do', b'', {'Origin': own(d), 'Content-Length': n}) for n in lengths])


def paths(d):
    bad = ('/../desk.py', '/desk.py', '/novnc/../../../etc/passwd', '/novnc/core/../../../../../etc/passwd.js', '/novnc/core/..%2f..%2frfb.js',
           '/novnc/vnc.html', '/novnc/core/', '/novnc/core/rfb.js/', '/novnc//etc/passwd', '//etc/passwd', '/%2e%2e/desk.py',
           '/novnc/core/../core/rfb.js', '/novnc/core/./../../utils/x.js', '/../build/tests/desk/vnc-password', '/vnc-password')
    refuses(d, {404}, [('GET', p, None) for p in bad])
    expect(ask(d, 'GET', '/novnc/core/rfb.js')[0] == 200, "noVNC's own files are refused")


def unmoved(d):
    """After all that was refused"""
    d.one_context('trusted', 'Thimble')
    d.lcd_is('Thimble')


def websocket(d):
    """Neither the wrong password nor none gets a picture: QEMU offers VNC authentication (2) alone"""
    import socket
    displays = json.loads(ask(d, 'GET', '/displays')[1])
    for port in (displays['screen'] + 200, displays['lcd'] + 200):
        with socket.create_connection(('127.0.0.1', port), 5) as s:
            s.recv(12)
            s.sendall(b'RFB 003.008\n')
            expect(s.recv(16) == b'\x01\x02', f'port {port} lets in without a password')
            s.sendall(b'\x02')
            s.recv(16)
            s.sendall(bytes(16))
            expect(s.recv(4) == b'\0\0\0\1', f'port {port} takes any password')


def loopback(d):
    """Nothing of it listens on another address"""
    displays = json.loads(ask(d, 'GET', '/displays')[1])
    ours = {int(d.host.split(':')[1]), *(displays[n] + k for n in ('screen', 'lcd') for k in (0, 200))}
    found = set()
    for name in ('tcp', 'tcp6'):
        with open(f'/proc/net/{name}', encoding='ascii') as f:
            for line in f.readlines()[1:]:
                address, port = line.split()[1].split(':')
                if line.split()[3] == '0A' and int(port, 16) in ours:
                    expect(address == '0100007F', f'port {int(port, 16)} listens at {address}')
                    found.add(int(port, 16))
    expect(found == ours, f'only {found} of {ours} listen')


def one_host(d):
    hosts, schemes = d.page.hosts()
    expect(hosts == {'127.0.0.1'} and schemes == {'http', 'ws'}, f'the page asked {hosts} by {schemes}')


def policy(d):
    d.page.read_logs()
    expect(not d.page.console, f'the console says {d.page.console}')
    expect(d.page.blocked('http://127.0.0.2:9/'), 'the policy lets the page ask another host')


def ends(d):
    expect(d.child.stop() == 0, 'the desk did not end well')


FRONT = (
    ('T1,T2/it comes up: name and mark on the LCD, to the pixel', ready),
    ('T2/the LCD as the browser draws it, to the pixel', drawn),
    ('house/screen: the pixels of the machine', screen),
    ('house/1280 x 800: all that matters is in the window', fits),
    ('house/axe-core: trusted', accessible),
    ('T1/a passphrase typed on the page arrives, and nobody else sees a key', passphrase),
    ('T4/the question on the LCD, to the pixel; the page says to answer that', question),
    ('house/axe-core: a question', accessible),
    ('T2,T4/the answer arrives, the LCD is blank', answer),
    ("A2/button 3: the 'visor's attack is contained", attack),
    ('house/axe-core: attacked', accessible),
    ('K1/the key pulled and plugged in: the context stays', pull),
    ('T2,P6/button 2: an open context, the LCD stays blank', untrusted),
    ('house/axe-core: without the key', accessible),
    ('house/button 3 in an open context: its secret is read', read_open),
    ('K1,T2/button 1 with a damaged key: an open context, and the LCD says why, to the pixel', damaged),
    ('house/buttons 1 and 3, at once: no press is lost', at_once),
    ('A2,T1,T3/buttons 1 and 3: attacked in the middle of the passphrase', attack_under_way),
    ('A8,T3/button 4: killed while its question is on the LCD', kill),
    ('house/axe-core: killed', accessible),
    ('house/Tab goes through the page, and one sees where it is', by_keyboard),
    ('T1,T4/all of it by keyboard alone, and Tab leads out', work_by_keyboard),
    ('house/a narrow window', narrow),
    ('T1,T4/keys tapped in a narrow window arrive; axe-core', tap),
    ('house/a wide window again, with most to say', wide_again),
)
DOOR = (
    ('house/the page is let in', lets_in),
    ('house/wrong token: refused', token),
    ('house/wrong origin: refused', origin),
    ('house/wrong host: refused', host),
    ('house/wrong method: refused', method),
    ('house/wrong body: refused', body),
    ('house/path traversal: refused', paths),
    ('house/VNC without the password: refused', websocket),
    ('house/nothing listens on another address', loopback),
    ('A2,T1/what was refused changed nothing', unmoved),
)
LAST = (
    ('house/no request to any host but this', one_host),
    ("house/nothing breaks the page's policy, which has teeth", policy),
    ('house/Ctrl-C ends it', ends),
)


def main(tests, browser):
    p = argparse.ArgumentParser(description=sys.modules['__main__'].__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--pictures', metavar='DIR')
    args = p.parse_args()
    os.makedirs(OUT, exist_ok=True)
    desk = None
    try:
        desk = Desk(browser, args.pictures)
        desk.comes_up()
        return 0 if run_tests(tests, desk) else 1
    except Failed as e:
        print(f'Bail out! {e}')
        return 1
    finally:
        if desk:
            desk.close()


if __name__ == '__main__':
    sys.exit(main(FRONT + DOOR + LAST, Chromium))
