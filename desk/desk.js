/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The desk: two VNC views, keys, and the state of the hardware in words. */
import RFB from '/novnc/core/rfb.js';
import * as Keys from '/novnc/core/input/util.js';

const token = new URLSearchParams(location.search).get('token');
const at = id => document.getElementById(id);
const POLL_MS = 300;
const RETRY_MS = 1000;
const ROWS = [
    '`1234567890-=', 'QWERTYUIOP[]', "ASDFGHJKL;'", 'ZXCVBNM,./',
];
const CODES = {
    '`': 'Backquote', '-': 'Minus', '=': 'Equal', '[': 'BracketLeft', ']': 'BracketRight',
    ';': 'Semicolon', "'": 'Quote', ',': 'Comma', '.': 'Period', '/': 'Slash',
};
const REQUESTS_SHOWN = 6;
const REQUESTS = {
    CREATE: 'make a context', DESTROY: 'kill a context', ALLOC: 'give it a page', OPEN: 'open a channel for it',
    CLOSE: 'close a channel of it', QUERY: 'list the contexts',
};
/* AS_E_..., where its name is not plain enough */
const STATUSES = {
    OFFER: 'not offered', RANGE: 'place is taken', PROTECTED: 'page is taken', LIST: 'out of reach',
    OPEN_CONTEXT: 'open context', NO_KEY: 'no key', BAD_KEY: 'bad key', NOT_TRUSTED: 'not on the key',
};
const RULES = {
    A: 'somebody else reached for protected memory', D: 'a request was refused',
    E: 'a jump into a program was refused', P: 'the port was misused', F: 'a program broke a rule of its own',
    X: 'an exit was not as it should be', W: 'a window page was misused', L: 'an image was refused',
    K: 'a key was refused', T: 'a channel was refused',
};

async function ask(path, body) {
    const options = { headers: { 'X-Desk-Token': token } };
    if (body) {
        options.method = 'POST';
        options.body = JSON.stringify(body);
    }
    const answer = await fetch(path, options);
    if (!answer.ok) {
        throw new Error(await answer.text());
    }
    return answer.json();
}

/* ---- the two displays ---- */

let keyboard;           /* the connection that keys go through */

function view(where, port, password, ready) {
    const rfb = new RFB(at(where), `ws://${location.hostname}:${port}`, { credentials: { password } });
    rfb.scaleViewport = true;
    rfb.focusOnClick = false;
    rfb.background = '#141a14';
    rfb.addEventListener('connect', () => {
        const canvas = at(where).querySelector('canvas');
        canvas.setAttribute('role', 'img');
        canvas.setAttribute('aria-label', where === 'lcd' ? 'The LCD of the keyboard' : 'The screen of the machine');
        ready(rfb);
    });
    rfb.addEventListener('disconnect', () => setTimeout(() => view(where, port, password, ready), RETRY_MS));
    return rfb;
}

/* ---- keys ---- */

const down = new Map();

function light(code, on) {
    const cap = at('keys').querySelector(`[data-code="${CSS.escape(code)}"]`);
    if (cap) {
        cap.classList.toggle('down', on);
    }
}

function press(event) {
    if (event.key === 'Tab' || event.ctrlKey || event.metaKey || event.altKey) {
        return;         /* of the browser, so that nobody is caught in here */
    }
    event.preventDefault();
    const keysym = Keys.getKeysym(event), code = Keys.getKeycode(event);
    if (keysym && keyboard && !event.repeat) {
        push(code, keysym);
    }
}

function release(code) {
    if (down.has(code)) {
        keyboard.sendKey(down.get(code), code, false);
        down.delete(code);
        light(code, false);
    }
}

/* A cap that is tapped or clicked: a narrow window often has no other keyboard */
const KEYSYMS = { Enter: 0xff0d, Backspace: 0xff08, ShiftLeft: 0xffe1, Space: 0x20 };

function push(code, keysym) {
    down.set(code, keysym);
    light(code, true);
    keyboard.sendKey(keysym, code, true);
}

function tap(event) {
    const cap = event.target.closest('i'), code = cap && cap.dataset.code;
    if (!code || !keyboard) {
        return;
    }
    if (code === 'ShiftLeft' && down.has(code)) {
        release(code);
        return;
    }
    const letter = cap.textContent;
    push(code, KEYSYMS[code] || (down.has('ShiftLeft') ? letter : letter.toLowerCase()).charCodeAt(0));
    if (code !== 'ShiftLeft') {         /* shift stays down for one key */
        release(code);
        release('ShiftLeft');
    }
}

function drawKeys() {
    const caps = ROWS.map(row => [...row].map(c => [c, CODES[c] || (/\d/.test(c) ? 'Digit' : 'Key') + c]));
    caps[0].push(['\u232b', 'Backspace']);
    caps[2].push(['Enter', 'Enter']);
    caps[3].unshift(['Shift', 'ShiftLeft']);
    caps.push([['\u00a0', 'Space']]);
    for (const row of caps) {
        const line = document.createElement('div');
        line.setAttribute('aria-hidden', 'true');
        for (const [text, code] of row) {
            const cap = document.createElement('i');
            cap.textContent = text;
            cap.dataset.code = code;
            line.append(cap);
        }
        at('keys').append(line);
    }
    at('keys').addEventListener('keydown', press);
    at('keys').addEventListener('click', tap);
    at('keys').addEventListener('keyup', event => release(Keys.getKeycode(event)));
    at('keys').addEventListener('blur', () => [...down.keys()].forEach(release));
}

/* ---- what the hardware does, in words ---- */

function list(where, items) {
    const made = items.map(parts => {
        const li = document.createElement('li');
        for (const part of [].concat(parts)) {
            li.append(part);
        }
        return li;
    });
    if (made.map(li => li.textContent).join('\n') !== [...at(where).children].map(li => li.textContent).join('\n')) {
        at(where).replaceChildren(...made);     /* else it stays, with whatever is selected in it */
        at(where).scrollTop = at(where).scrollHeight;
    }
}

function span(kind, text) {
    const s = document.createElement('span');
    s.className = kind;
    s.textContent = text;
    return s;
}

function contextInWords(c) {
    const trusted = c.kind === 'trusted';
    return [span(trusted ? 'kind' : 'kind open', trusted ? `"${c.name}", trusted` : 'without a name, open'),
        `: ${c.pages} pages ${trusted ? 'that nobody else reaches' : 'that the \'visor reads as it likes'}`];
}

function ownerInWords(lcd) {
    if (lcd.open) {
        return `"${lcd.name}", and nobody else` + (!lcd.guard ? '.' :
            lcd.note === 'wait' ? ', in half a second.' : '. Let go of all keys first.');
    }
    return lcd.name ? 'Nobody: the keyboard is off while a name is shown.' :
        'The \'visor. So do not type a secret now: the LCD shows no name.';
}

function lcdInWords(lcd) {
    return lcd.name ? `The LCD shows: ${lcd.name} ${lcd.note} ${lcd.text}` :
        lcd.alert ? `The LCD warns: ${lcd.alert}` : 'The LCD is blank.';
}

/* "CREATE psp=0x1000 OK result=1" */
function requestInWords(line) {
    const [, verb, status] = /^(\S+) .*?(\S+) result=/.exec(line) || ['', line, ''];
    const words = REQUESTS[verb] || verb.toLowerCase();
    return status === 'OK' ? `${words}: done` : [words + ': ', span('kind open', `refused (${STATUSES[status] || status})`)];
}

const TOLD = /^(attack: \d+ tries|visor: (killed|I can read|I play the keyboard, so|there is no OS|stopped|no trusted))/;

function toldLast(lines) {
    const boot = lines.findLastIndex(l => l.includes('visor: booted'));     /* maybe after half a line */
    const last = lines.slice(boot + 1).filter(l => TOLD.test(l)).pop();
    return last ? ` ${last.replace(/^attack: /, 'The last attack: ').replace(/^visor: /, 'The \'visor: ')}.` : '';
}

/* What there is to do now, for somebody who is here for the first time */
function advice(lcd) {
    if (lcd.text) {
        return ` The LCD asks: \u201c${lcd.text}\u201d Whatever the screen asks, answer that: one letter and Enter.`;
    }
    if (lcd.open) {
        return ' Its name is on the LCD: type a passphrase and Enter. Nobody but the OS gets it.';
    }
    return lcd.alert ? ` The LCD warns: \u201c${lcd.alert}\u201d.` : '';
}

/* And then */
function next(trusted, lcd, told) {
    if (!trusted) {
        return told.includes('I can read') ? ' Press 1, and it cannot.' : ' Type a passphrase and answer all the same, then press 3.';
    }
    if (lcd.open || lcd.text) {
        return '';
    }
    return told.includes('attack') ? ' Now press 2, for the same without your key.' : ' Press 3, to see what the \'visor can do about it.';
}

function summary(state) {
    const c = state.contexts[0];
    const told = toldLast(state.lines);
    if (!c) {
        return [`No program runs in a context.${advice(state.lcd) + told} Press 1 or 2 to run the OS.`, true];
    }
    return c.kind === 'trusted' ?
        [`The OS runs trusted, as \u201c${c.name}\u201d.${advice(state.lcd) + told + next(true, state.lcd, told)}`, false] :
        [`The same OS, in an open context: no name on the LCD, so the \'visor has what you type and all it keeps.${advice(state.lcd) + told + next(false, state.lcd, told)}`, true];
}

function setText(where, text) {
    if (at(where).textContent !== text) {
        at(where).textContent = text;
    }
}

function show(state) {
    list('contexts', state.contexts.length ? state.contexts.map(contextInWords) : ['none']);
    setText('owner', ownerInWords(state.lcd));
    setText('lcd-text', lcdInWords(state.lcd));
    const denials = Object.entries(state.denials);
    list('denials', denials.length ? denials.map(([rule, n]) =>
        [span('count', n), `by rule ${rule}: ${RULES[rule[0]] || 'a rule was broken'}`]) : ['nothing']);
    setText('slb', `${state.slb.hits} hits, ${state.slb.misses} misses; programs were started ${state.slb.starts} times, ` +
        `interrupted ${state.slb.events} times`);
    list('requests', state.requests.slice(-REQUESTS_SHOWN).map(requestInWords));
    list('lines', state.lines);
    list('names', state.key.names);
    at('stick').classList.toggle('out', !state.key.plugged);
    setText('plugged', state.key.plugged ? 'It is plugged in.' : 'It is in your pocket.');
    setText('plug', state.key.plugged ? 'Pull it out' : 'Plug it in');
    at('plug').dataset.do = state.key.plugged ? 'unplug' : 'plug';
    const [text, open] = summary(state);
    setText('said', text);
    at('said').classList.toggle('open', open);
}

async function poll() {
    try {
        show(await ask('/state'));
    } catch (error) {
        setText('said', `The machine does not answer: ${error.message}`);
    }
    setTimeout(poll, POLL_MS);
}

async function act(event) {
    const what = event.currentTarget.dataset.do;
    try {
        await ask('/do', { what });
    } catch (error) {
        setText('said', error.message);
    }
    if (what === 'trusted' || what === 'untrusted') {
        at('keys').focus();
    }
}

async function begin() {
    drawKeys();
    document.querySelectorAll('button').forEach(b => b.addEventListener('click', act));
    const displays = await ask('/displays');
    view('screen', displays.screen, displays.password, rfb => {
        keyboard = rfb;
    });
    view('lcd', displays.lcd, displays.password, rfb => {
        rfb.viewOnly = true;
    });
    poll();
}

begin().catch(error => setText('said', `The desk does not answer: ${error.message}`));
