#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Bad input: each ends with a line that names the cause (TAP).

A test gives the machine or the demo something wrong and waits for the line a
person would read.  Waiting for another line fails it, so does a machine
that goes on as if nothing was.
"""
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEMO = os.path.join(TOP, 'demo', 'walkthrough.py')
sys.path.insert(0, os.path.dirname(DEMO))
from machine import Machine, Trouble, slowness, stop_well  # noqa: E402
from walkthrough import (arguments, machine_command, make_key, prepare,  # noqa: E402
                         run_tool)

IMAGE = 'os.sheath'


def image_of(args):
    return os.path.join(args.guest_dir, IMAGE)


def changed_image(args, change):
    """A copy of the OS image, changed"""
    with open(image_of(args), 'rb') as f:
        data = bytearray(f.read())
    data = change(data) or data
    path = os.path.join(args.out, 'changed.sheath')
    with open(path, 'wb') as f:
        f.write(data)
    return path


def machine(args, *more, words='exit', initrd=None, memory=None):
    command = machine_command(args, words, '-display', 'none',
                              '-device', 'isa-debug-exit,iobase=0xf4', *more)
    if initrd:
        command[command.index('-initrd') + 1] = initrd
    if memory:
        command[command.index('-m') + 1] = memory
    return Machine(command, args.out, 'bad', time.monotonic() + 20 * slowness())


def run_to_end(m, said):
    """What said() returns, and QEMU's exit status"""
    try:
        found = said()
        m.process.wait(10 * slowness())
    except (Trouble, subprocess.TimeoutExpired) as t:
        found = str(t)
    finally:
        status = m.stop()
    return found, status


def visor_stops(args, line, *more, **given):
    """The 'visor stops with this line and tells so by QEMU's exit status, 35"""
    m = machine(args, *more, **given)
    said, status = run_to_end(m, lambda: m.wait_line('^visor: stopped: '))
    if not re.search(line, said):
        raise Trouble(f'wanted "{line}", got "{said}"')
    if status != 35:
        raise Trouble(f'QEMU ended with status {status}')


def qemu_refuses(args, line, *more, **given):
    """QEMU itself ends with this line before anything runs"""
    m = machine(args, *more, **given)
    _, status = run_to_end(m, lambda: None)
    said = ' '.join(m.errors)
    if not re.search(line, said) or status != 1:
        raise Trouble(f'wanted "{line}", got "{said}", status {status}')


def demo_refuses(line, *options):
    """The demo ends with status 2 and this line, and no traceback"""
    done = subprocess.run([DEMO, *options], capture_output=True, text=True,
                          timeout=60 * slowness(), check=False)
    if done.returncode != 2 or not re.search(line, done.stderr) or \
            'Traceback' in done.stderr:
        raise Trouble(f'wanted "{line}", got "{done.stderr}", status {done.returncode}')


# ---- keys ----

def test_no_key(args):
    """no key: no trusted context, and the reason"""
    visor_stops(args, r'no user key is plugged in \(status 13\)')


def test_empty_key(args):
    """a key that names nothing"""
    path = os.path.join(args.out, 'empty.img')
    run_tool(args, 'init', path)
    visor_stops(args, r'does not name this image \(status 15\)',
                '-device', f'appsheath-key,file={path}')


def test_garbage_key(args):
    """a key file full of something else"""
    path = os.path.join(args.out, 'garbage.img')
    with open(path, 'wb') as f:
        f.write(b'this is not a key' * 241 + bytes(-17 * 241 % 512))
    visor_stops(args, r'the user key is bad \(status 14\)',
                '-device', f'appsheath-key,file={path}')


def test_corrupt_key(args):
    """a key with one bit turned"""
    path, _ = make_key(args, 'corrupt.img')
    with open(path, 'r+b') as f:
        f.seek(200)
        byte = f.read(1)[0]
        f.seek(200)
        f.write(bytes([byte ^ 1]))
    visor_stops(args, r'the user key is bad \(status 14\)',
                '-device', f'appsheath-key,file={path}')


def test_key_file_missing(args):
    """a key file that is not there"""
    qemu_refuses(args, 'nokey.img.*No such file', '-device', 'appsheath-key,file=nokey.img')


# ---- images ----

def test_wrong_image(args):
    """an image with one bit turned is not the one that the key names"""
    key, _ = make_key(args)

    def turn(data):
        data[0x1800] ^= 1

    visor_stops(args, r'does not name this image \(status 15\)',
                '-device', f'appsheath-key,file={key}', initrd=changed_image(args, turn))


def test_header(args):
    """an image whose header hardware refuses"""
    key, _ = make_key(args)

    def turn(data):
        data[0x30] = 1          # privilege level 1

    visor_stops(args, r'the image header is malformed \(status 12\)',
                '-device', f'appsheath-key,file={key}', initrd=changed_image(args, turn))


def test_no_image(args):
    """something that is no image"""
    visor_stops(args, 'is no AppSheath image', initrd=DEMO)


def test_short_image(args):
    """an image of ten bytes"""
    visor_stops(args, 'is no AppSheath image',
                initrd=changed_image(args, lambda data: data[:10]))


# ---- the machine ----

def test_memory(args):
    """too little memory for the machine"""
    qemu_refuses(args, 'needs more than 17 MiB of memory.* Use -m 64M', memory='16M')


def test_visor_memory(args):
    """too little memory for the 'visor and its OS"""
    visor_stops(args, 'a page that cannot be protected.* larger -m', '-device', f'appsheath-key,file={make_key(args)[0]}',
                memory='24M')


def test_cpu(args):
    """a CPU without nested paging"""
    visor_stops(args, 'this CPU has no .* -cpu', '-cpu', 'qemu64')


def test_controller(args):
    """a machine that is not AppSheath's"""
    visor_stops(args, 'no trusted DMA controller.*-machine appsheath', '-machine', 'q35')


def test_word(args):
    """a word on the command line that the 'visor does not know"""
    m = machine(args, words='exit selftest nonsense')
    said, status = run_to_end(m, lambda: m.wait_line("do not know the word 'nonsense'"))
    if status != 33:
        raise Trouble(f'{said}, QEMU ended with status {status}')


def test_property(args):
    """a property that the machine does not have"""
    qemu_refuses(args, 'nonsense', '-machine', 'appsheath,nonsense=1')


def test_shared_ram(args):
    """A2/RAM that other processes share"""
    qemu_refuses(args, 'does not share its RAM .* leave out share=on',
                 '-machine', 'appsheath,memory-backend=ram',
                 '-object', 'memory-backend-ram,id=ram,share=on,size=128M', memory='128M')


def test_shared_file(args):
    """A2/RAM in anonymous shared memory"""
    qemu_refuses(args, 'does not share its RAM .* leave out share=on',
                 '-machine', 'appsheath,memory-backend=ram',
                 '-object', 'memory-backend-memfd,id=ram,size=128M', memory='128M')


RAM_IN_HAND = ('-machine', 'appsheath,memory-backend=ram', '-object', 'memory-backend-ram,id=ram,size=128M')
OWN_MEMORY = ('-object', 'memory-backend-ram,id=own,size=256M')
CXL_BUS = ('-machine', 'cxl=on', '-device', 'pxb-cxl,bus_nr=12,bus=pcie.0,id=cxl',
           '-device', 'cxl-rp,port=0,bus=cxl,id=rp,chassis=0,slot=2')
# Every device here that takes a memory backend, and what it needs besides
BACKED = (('cxl-type3,bus=rp,persistent-memdev=own,lsa', CXL_BUS),
          ('cxl-type3,bus=rp,lsa=own,persistent-memdev', CXL_BUS),
          ('cxl-type3,bus=rp,lsa=own,memdev', CXL_BUS),
          ('cxl-type3,bus=rp,volatile-memdev', CXL_BUS),
          ('cxl-type3,bus=rp,num-dc-regions=1,volatile-dc-memdev', CXL_BUS),
          ('acpi-erst,memdev', ()), ('ivshmem-plain,memdev', ()), ('nvme,serial=x,pmrdev', ()),
          ('virtio-pmem-pci,memdev', ('-m', '128M,maxmem=1G')), ('virtio-mem-pci,memdev', ('-m', '128M,maxmem=1G')),
          ('pc-dimm,memdev', ('-m', '128M,slots=2,maxmem=1G')),
          ('nvdimm,memdev', ('-m', '128M,slots=2,maxmem=1G', '-machine', 'nvdimm=on')))


def test_backends(args):
    """A2/the machine's RAM as a device's own memory"""
    for device, needed in BACKED:
        for ram, how in (('ram', RAM_IN_HAND), ('pc.ram', ())):
            qemu_refuses(args, r'-device \S+: .*(shares its RAM with no device|busy memdev)', *how, *OWN_MEMORY, *needed, '-device', f'{device}={ram}')


def test_backends_all(args):
    """A2/no device that takes a memory backend is left out above"""
    known = {device.split(',')[0] for device, _ in BACKED} | {'virtio-mem', 'virtio-pmem'}
    m = machine(args, '-S')
    try:
        names = [t['name'] for t in m.qmp('qom-list-types', implements='device', abstract=False)]
        backed = {name for name in names if not name.endswith('-cpu')
                  and any(p['type'] == 'link<memory-backend>'
                          for p in m.qmp('device-list-properties', typename=name))}
    finally:
        m.stop()
    if not known <= backed or backed - known:
        raise Trouble(f'tried: {sorted(known)}, there are: {sorted(backed)}')


def test_loopback(args):
    """T1/a network by which a guest reaches a VNC display or a monitor of the computer it runs on: a warning"""
    for restrict, warned in (('off', True), ('on', False)):
        m = machine(args, '-S', '-netdev', f'user,id=net0,restrict={restrict}')
        m.qmp('quit')
        m.stop()
        if warned != ("network 'net0': a guest reaches" in ' '.join(m.errors)):
            raise Trouble(f'restrict={restrict}: {m.errors}')


def test_text_console(args):
    """T1/a text console for the guest, whose keys go past the keyboard"""
    qemu_refuses(args, "has no text consoles for guests.* 'serial1'", '-serial', 'vc')


def test_passthrough(args):
    """A2/a device of the host"""
    for driver in ('vfio-pci', 'vfio-pci-nohotplug'):
        qemu_refuses(args, f'has no {driver}: it would reach RAM past the arbiter',
                     '-device', f'{driver},host=0000:00:00.0')


def test_no_such_device(args):
    """T1,A3/devices that this machine does not have"""
    for driver, why in (('virtio-input-host-pci', "the host's keys would go past the keyboard"),
                        ('ramfb', 'it ends QEMU when a page of its picture is refused')):
        qemu_refuses(args, f'has no {driver}: {why}', '-device', driver)


# ---- the demo ----

def test_demo_files(args):
    """the demo without emulator, key tool, guests"""
    for option in ('--qemu', '--key-tool'):
        demo_refuses('is not there\n  build it', '--out', args.out, option, '/nonexistent/it')
    demo_refuses('no such file\n  build it', '--out', args.out, '--guest-dir', '/nonexistent')


def test_demo_out(args):
    """the demo with a file where its directory should be"""
    demo_refuses('cannot write there', '--out', image_of(args))


def test_vnc_port(args):
    """the demo with a VNC port that is taken"""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        s.listen()
        display = s.getsockname()[1] - 5900
        demo_refuses('is not free.*\n  end what uses it', '--out', args.out,
                     '--vnc', '--display', str(display))


TESTS = [f for name, f in sorted(globals().items()) if name.startswith('test_')]


def main():
    stop_well()
    failed = 0
    with tempfile.TemporaryDirectory(prefix='appsheath-') as out:
        args = arguments(['--out', out])
        try:
            prepare(args)
        except Trouble as t:
            print(f'Bail out! {t.cause}')
            return 1
        print(f'1..{len(TESTS)}')
        for number, test in enumerate(TESTS, 1):
            try:
                test(args)
                print(f'ok {number} - {test.__doc__}', flush=True)
            except (Trouble, subprocess.TimeoutExpired) as t:
                failed += 1
                print(f'not ok {number} - {test.__doc__}')
                print('\n'.join('# ' + line for line in str(t).split('\n')), flush=True)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
