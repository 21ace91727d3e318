/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: another vCPU looks at a VMCB between an I/O instruction and its exit
 * Row: 32
 * Rule: X2
 * Guard: X2.mute
 * Record: none: what the CPU would write is dropped, nobody has asked for it
 * Source: secret-dependent control flow told by instruction addresses: SGX-Step (SysTEX 2017) with what SEV's exit information says
 * Mechanism: the program's OUT is intercepted; the CPU stores the address of the next instruction in exit_info_2, then exits. A second
 *   vCPU reads that field in a loop while the program does OUT again and again.
 * Seen: what the 'visor put there, and the resume point.
 * Limits: a race: that nothing was seen in so many exits is evidence, not proof; without the guard five were enough.
 * Options: -smp 2
 */
#include "lib.h"

#define WATCHED         100             /* exits while the second vCPU looked */
#define SECONDS         20              /* at most, on a busy host */

static const struct ctx *victim;
static volatile bool begun, enough;
static volatile uint64_t told, watched;

/* VMRUN clears the field; it is 0 for as long as the program runs */
static void look(void *arg)
{
    const volatile struct vmcb *v = host((uint64_t)arg);
    uint64_t next = action_at(victim, ACT_out) + 1, before = 0;

    begun = true;
    while (!enough && !told) {
        uint64_t info = v->exit_info_2;

        if (info == next) {
            told = info;
        }
        watched += info && !before;
        before = info;
    }
}

static void next_rip(struct ctx *c)
{
    uint64_t deadline = tsc() + SECONDS * TIMER_HZ * tsc_of_tick;
    struct regs regs = { 0 };
    unsigned exits = 1;

    into_vm(c);
    prepare(c)->orders.gpr[RDX] = 0x71;
    victim = c;
    begun = enough = false;
    told = watched = 0;
    job_begin(look, c->vm);
    wait_for(&begun);
    start(c, ACT_out);
    for (want_exit(c, VMEXIT_IOIO, 0x10); !told && watched < WATCHED; exits++) {
        if (vm_exit(c->vm, &regs) != VMEXIT_IOIO || tsc() > deadline) {     /* OUT again */
            give_up("exit 0x%lx; %lu of %u were watched", c->vm->exit_code, watched, exits);
        }
    }
    enough = true;
    job_end();
    note("%lu of %u exits were watched", watched, exits);
    if (told) {
        learnt("where the program goes on: 0x%lx", told);
    }
}

const struct test ATTACK[] = {
    { NAME "next RIP of an I/O instruction", next_rip, LEVEL0 | VM | SMP },
    { NULL, NULL, 0 },
};
