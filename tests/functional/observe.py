#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person can see of the machine, and whether the documents say it rightly (TAP)."""
import glob
import hashlib
import json
import os
import pty
import re
import subprocess
import sys
import tempfile
import threading
import time
import types

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(TOP, 'demo'), os.path.join(TOP, 'desk')]
from machine import Machine, Trouble, slowness, stop_well  # noqa: E402
from qmp import Qmp, QmpError           # noqa: E402
import walkthrough                      # noqa: E402
from busy import Viewer                 # noqa: E402
import desk                             # noqa: E402

APPSHEATH_TOP = os.path.join(TOP, 'scripts', 'appsheath-top')
TRACING = 'docs/system/tracing.rst'
KEY = 'docs/system/key.rst'
KEYBOARD = 'docs/system/keyboard.rst'
LIMIT = 60
# Where a line about a key is told: of one key, of its USB side, of all keys
KEY_SOURCES = ('core/key.c', 'hw/appsheath/usbhost.c', 'hw/appsheath/tdma-create.c')
KEY_LINE = re.compile(r'"((?:keys?[ :\']|not an? |two keys )[^"%]*)"')


def need(condition, otherwise):
    if not condition:
        raise Trouble(otherwise)


def read(path):
    with open(os.path.join(TOP, path), encoding='utf-8') as f:
        return f.read()


def same(what, documented, real):
    need(real, f'{what}: none found')
    for name, one, other in (('not documented', real, documented),
                             ('documented, but not there', documented, real)):
        need(not one - other, f'{what}, {name}: {", ".join(sorted(one - other))}')


# ---- documents ----

FORMS = {'x': '[0-9a-f]+', 'u': '[0-9]+', 'd': '[0-9]+', 's': '.*'}


def trace_events():
    """Event -> what a line of it looks like, from the C format that makes it"""
    events = {}
    for name, code in re.findall(r'^(\w+)\(.*?\) (.*)$', read('hw/appsheath/trace-events'), re.M):
        form = ''.join(text if text else 'x'
                       for text, _ in re.findall(r'"([^"]*)"|(PRIx64)', code))
        parts = re.split('%([xuds])', form)
        events[name] = ''.join(FORMS[part] if n % 2 else re.escape(part)
                               for n, part in enumerate(parts))
    return events


def test_trace_events(_):
    """house/each trace event is documented, with an example of its form"""
    text, events = read(TRACING), trace_events()
    heads = re.findall(r'^(``appsheath_\w+``(?:, ``appsheath_\w+``)*) - ', text, re.M)
    same('trace events', set(re.findall(r'appsheath_\w+', ' '.join(heads))), set(events))
    for name, form in events.items():
        examples = re.findall(rf'^    ``{name} (.*)``$', text, re.M)
        need(examples, f'{name}: no example')
        for example in examples:
            need(re.fullmatch(form, example), f'{name}: "{example}" is not of the form {form}')


def test_key_lines(_):
    """K1/the table of what hardware says about keys is what it can say"""
    table = read(KEY).split('What the LCD can say\n')[-1]
    said = set()
    for path in KEY_SOURCES:
        said |= set(KEY_LINE.findall(read(path)))
    same('lines about keys', set(re.findall(r'^``([^`]*)``  ', table, re.M)), said)


def test_lock_keys(_):
    """T1/VNC does not press lock keys by itself in what we start or show"""
    paths = [p for where in ('demo/*.py', 'desk/*.py', 'docs/system/*.rst', 'README.md')
             for p in glob.glob(os.path.join(TOP, where))]
    displays = [(os.path.relpath(p, TOP), option) for p in paths
                for option in re.findall(r"[^\s'\"]*,(?:id=v\d|display=\w+),[^\s'\"]*",
                                         re.sub(r"'\s*\n\s*f?'", '', read(p)))]
    need(len(displays) >= 4, f'found {len(displays)} VNC displays only')
    for path, option in displays:
        need('lock-key-sync=off' in option, f'{path}: {option} without lock-key-sync=off')


def test_channel_table(_):
    """T1,T3/each test that the table of a channel's life names is there"""
    cells = [' '.join(cell.split()) for cell in
             re.findall(r'^     - (?=qtest )(.*?)(?=^   \* |\Z)', read(KEYBOARD), re.M | re.S)]
    need(len(cells) >= 10, f'only {len(cells)} rows name tests')
    there = set()
    for path in glob.glob(os.path.join(TOP, 'tests/qtest/appsheath-*-test.c')):
        there |= set(re.findall(r'^    ADD\("([^"]*)"', read(path), re.M))
    there |= set(os.listdir(os.path.join(TOP, 'tests/attack')))
    named = set(re.findall(r'[A-Z]\d(?:,[A-Z]\d)*/[a-z-]+|\d\d-[a-z-]+', ' '.join(cells)))
    need(len(named) >= 15 and not named - there, f'not there: {", ".join(sorted(named - there))}')


# ---- a running machine ----

def run_top(*args):
    done = subprocess.run([APPSHEATH_TOP, *args], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=30 * slowness(), check=False)
    need('Traceback' not in done.stderr, done.stderr)
    return done.returncode, done.stdout, done.stderr


class Running:
    """A machine whose OS waits for keys, with a second QMP socket for those who watch"""

    def __init__(self, args):
        key, _ = walkthrough.make_key(args)
        self.socket = os.path.join(args.out, 'watch.qmp')
        self.vnc = os.path.join(args.out, 'vnc')
        self.machine = Machine(walkthrough.machine_command(
            args, 'attack', '-display', 'none', '-device', f'appsheath-key,file={key}',
            '-qmp', f'unix:{self.socket},server=on,wait=off',
            '-vnc', f'unix:{self.vnc},display=kbd0,head=0,id=v,lock-key-sync=off'),
            args.out, 'observe', time.monotonic() + LIMIT * slowness())
        self.machine.wait_line('^visor: the OS waits for keys')
        self.machine.wait_for('the end of the guard time',
                              lambda: not self.machine.lcd('guard'))


def test_top_json(running):
    """house/appsheath-top --json tells what the machine does"""
    status, out, err = run_top('--json', running.socket)
    need(status == 0 and not err, f'status {status}: {err}')
    state = json.loads(out)
    need(set(state) == {'running', 'contexts', 'denials', 'arbiter', 'slb', 'lcd'},
         f'its fields are {sorted(state)}')
    context, = state['contexts']
    need(context['name'] == walkthrough.NAME and context['kind'] == 'trusted' and
         context['pages'] > 20, f'the context is {context}')
    need(state['arbiter']['protected-pages'] >= context['pages'], f'{state["arbiter"]}')
    need(state['lcd']['name'] == walkthrough.NAME and state['lcd']['open'] and
         not state['lcd']['unsafe'], f'the LCD is {state["lcd"]}')
    need(state['running'] and len(state['slb']) == 1 and state['slb'][0]['starts'] > 0,
         f'the SLB is {state["slb"]}')


def test_top_once(running):
    """house/appsheath-top --once tells the same in lines"""
    status, out, err = run_top('--once', running.socket)
    need(status == 0 and not err, f'status {status}: {err}')
    for line in (r'^running, contexts: 1, \d+ pages of theirs, \d+ pages mapped for DMA, \d+ denials$',
                 rf'^keys go to: the program\.  LCD: {walkthrough.NAME}',
                 rf'^ +0x[0-9a-f]+ trusted +\d+ +\d+ +\d+ +\S+  {walkthrough.NAME}$',
                 r'^CPU +IN CONTEXT +HITS', r'^  0 '):
        need(re.search(line, out, re.M), f'no line "{line}" in:\n{out}')


def test_top_help(_):
    """house/appsheath-top --help names each option"""
    status, out, _err = run_top('--help')
    need(status == 0 and all(o in out for o in ('--once', '--json', '--interval', 'socket')), out)


def test_top_errors(running):
    """house/appsheath-top with nobody there, at a busy socket's file, and wrongly called"""
    nobody = running.socket + '.none'
    for wanted, line, *args in (
            (1, f'appsheath-top: {nobody}: No such file', '--once', nobody),
            (1, f'appsheath-top: {APPSHEATH_TOP}: Connection refused', '--once', APPSHEATH_TOP),
            (2, 'the following arguments are required: socket',),
            (2, '--interval takes 0.1 to 3600 seconds', '--interval', '0', running.socket),
            (2, 'unrecognized arguments: --twice', '--twice', running.socket)):
        status, out, err = run_top(*args)
        need(status == wanted and line in err and not out,
             f'{args}: status {status}, "{err}" instead of "{line}"')


def test_paths(running):
    """house/each property that the documents name can be read where they say"""
    text = read(TRACING)
    found = re.findall(r'^    qom-get (\S+) (\S+)$', text, re.M)
    need(len(found) >= 8, f'only {len(found)} examples of qom-get')
    watch = Qmp(running.socket, 10)
    for path, name in found:
        try:
            watch.ask('qom-get', path=path, property=name)
        except QmpError as e:
            raise Trouble(f'qom-get {path} {name}: {e}') from e
    for path, kind in (('/machine/arbiter', 'arbiter'), ('kbd0', 'kbd0'),
                       ('/machine/unattached/device[0]/slb', 'slb')):
        there = {p['name'] for p in watch.ask('qom-list', path=path)}
        part = re.search(rf'^``{kind}``.*?(?=^``|^By QMP)|^``/machine/{kind}``.*?(?=^``)',
                         text, re.M | re.S).group()
        named = set(re.findall(r'``([a-z-]+)``', part)) - {kind, 'qom-path', 'query-cpus-fast'}
        need(named and named <= there, f'{path} has no {sorted(named - there)}')
    watch.file.close()


def test_no_lock_key(running):
    """T1/a viewer's capital without Shift does not press Caps Lock in the channel"""
    viewer = Viewer(running.vnc)
    viewer.type('OPEN\uff0d')           # ... and the keysym of Enter
    said = running.machine.wait_line('^os: .*proof: ')
    viewer.s.close()
    for text in ('open', 'OPEN'):
        if said.endswith(hashlib.sha256(f'Thimble proof: {text}'.encode()).digest()[:4].hex()):
            need(text == 'open', 'Caps Lock was pressed by nobody')
            return
    raise Trouble(f'"{said}" is of something else')


def drain(fd, first):
    """A terminal's screen: what is shown there is read, up to its end"""
    try:
        while os.read(fd, 4096):
            first.set()
    except OSError:                     # EIO: nobody has it open any more
        pass


def test_no_machine(running):
    """house/appsheath-top in a terminal when the machine ends, and when it has ended"""
    screen, terminal = pty.openpty()
    first = threading.Event()
    with subprocess.Popen([APPSHEATH_TOP, '--interval', '0.1', running.socket],
                          stdin=subprocess.DEVNULL, stdout=terminal, stderr=subprocess.PIPE,
                          text=True) as top:
        os.close(terminal)
        reader = threading.Thread(target=drain, args=(screen, first))
        reader.start()
        shown = first.wait(30 * slowness())
        running.machine.stop()
        try:
            _, err = top.communicate(timeout=30 * slowness())
        finally:
            top.kill()
            reader.join()
            os.close(screen)
    need(shown and top.returncode == 1 and err.startswith('appsheath-top: ') and
         'Traceback' not in err, f'shown: {shown}, status {top.returncode}, "{err}"')
    status, out, err = run_top('--json', running.socket)
    need(status == 1 and err.startswith('appsheath-top: ') and not out,
         f'status {status}, "{err}"')


def test_desk_trace(_):
    """house/the trace that the desk reads stays small while QEMU writes on, and nothing is read twice"""
    with tempfile.TemporaryDirectory(prefix='appsheath-') as out, open(f'{out}/trace', 'w', encoding='ascii') as qemu:
        reader = types.SimpleNamespace(machine=types.SimpleNamespace(trace_path=qemu.name), trace_at=0, trace_from=0,
                                       requests=[])
        for last in range(1, 6):
            line = f'appsheath_request_done QUERY OK result={last}'
            qemu.write((line + '\n') * (desk.TRACE_MAX // len(line)))
            qemu.flush()
            desk.Desk.read_requests(reader)
            need(set(reader.requests) == {line.partition(' ')[2]}, f'round {last}: {reader.requests}')
        used = os.stat(qemu.name).st_blocks * 512
        need(used <= 2 * desk.TRACE_MAX, f'the file takes {used} bytes')


DOCUMENTS = (test_trace_events, test_key_lines, test_lock_keys, test_channel_table, test_top_help, test_desk_trace)
LIVE = (test_top_json, test_top_once, test_top_errors, test_paths, test_no_lock_key,
        test_no_machine)


def one(number, test, given):
    try:
        test(given)
    except (Trouble, QmpError, subprocess.TimeoutExpired, ValueError) as t:
        print(f'not ok {number} - {test.__doc__}')
        print('\n'.join('# ' + line for line in str(t).split('\n')), flush=True)
        return 1
    print(f'ok {number} - {test.__doc__}', flush=True)
    return 0


def main():
    stop_well()
    failed, running = 0, None
    print(f'1..{len(DOCUMENTS) + len(LIVE)}')
    with tempfile.TemporaryDirectory(prefix='appsheath-') as out:
        for number, test in enumerate(DOCUMENTS, 1):
            failed += one(number, test, None)
        try:
            running = Running(walkthrough.arguments(['--out', out]))
            for number, test in enumerate(LIVE, 1 + len(DOCUMENTS)):
                failed += one(number, test, running)
        except Trouble as t:
            print(f'Bail out! {t.cause}')
            return 1
        finally:
            if running:
                running.machine.stop()
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
