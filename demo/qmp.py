# SPDX-License-Identifier: GPL-2.0-or-later
"""QMP over a Unix socket: one question, one answer."""
import json
import socket


class QmpError(Exception):
    """QEMU does not answer, or answers with an error"""


class Qmp:
    """A connection; raises OSError if there is nobody at `path`"""

    def __init__(self, path, timeout):
        s = socket.socket(socket.AF_UNIX)
        try:
            s.settimeout(timeout)
            s.connect(path)
        except OSError:
            s.close()
            raise
        self.file = s.makefile('rw', encoding='utf-8')
        s.close()               # the file keeps it open
        self.file.readline()    # its greeting
        self.ask('qmp_capabilities')

    def ask(self, execute, **arguments):
        try:
            self.file.write(json.dumps({'execute': execute, 'arguments': arguments}) + '\n')
            self.file.flush()
            while True:
                answer = json.loads(self.file.readline() or '{"error": {"desc": "it ended"}}')
                if 'return' in answer:
                    return answer['return']
                if 'error' in answer:
                    raise QmpError(f'{execute}: {answer["error"]["desc"]}')
        except (OSError, ValueError) as e:
            raise QmpError(f'{execute}: QEMU does not answer: {e}') from e
