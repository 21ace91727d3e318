/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 'visor at the desk: it obeys commands of one letter from the second
 * serial port, whenever a person at the desk presses a button.
 *
 *   a   attack the OS, as it is now
 *   k   kill it
 */
#include "visor.h"

#define COM2            0x2f8
#define LINE_STATUS     5
#define HAS_BYTE        1

static void attack_now(void)
{
    if (!vm.secret_va) {
        vm.secret_va = vm.base;         /* no secret yet: its PSP */
    }
    if (vm.open) {
        say("an open context: nothing keeps me out");
        show_open_memory();
        return;
    }
    attacks = contained = 0;
    attack_preempted();
    attack_verdict();
}

static void obey(uint8_t command)
{
    if (vm.over) {
        say("there is no OS that I could do that to");
    } else if (command == 'a') {
        attack_now();
    } else if (command == 'k') {
        vm_destroy();
    }
}

_Noreturn void desk_run(void)
{
    for (;;) {
        if (vm.over) {
            keys_poll();
            wait_for_interrupt();
        } else {
            vm_step();
        }
        /* What its exits show is part of an attack, so there must have been one */
        if ((vm.over || vm.exits_seen) && (inb(COM2 + LINE_STATUS) & HAS_BYTE)) {
            obey(inb(COM2));
        }
    }
}
