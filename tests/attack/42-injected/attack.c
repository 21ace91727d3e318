/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a VMM injects INT 0x80, #VC or #MF into a program that did nothing of the kind
 * Row: 42
 * Rule: X2, E2
 * Guard: X2.cause
 * Record: none: the VMM may inject; the frame has the truth
 * Source: Heckler (USENIX Security 2024), WeSee (S&P 2024)
 * Mechanism: the program has left by a hypercall; the VMM injects a vector whose gate points to the program's own handler
 *   and runs the VM at the resume point.  The gate is a START with the handler as requested program counter.
 * Seen: the frame that waits says hypercall, whatever was injected; it is then resumed unharmed.
 * Limits: the handler is modelled by a copy of its PSP; guest/os is a real one.
 */
#include "attack.h"

#define SYSTEM_CALL     0x80
#define EVENT_VALID     (1u << 31)
#define EXCEPTION       (3u << 8)
#define HYPERCALL_BYTES 3

/* Gates that are the program's, in a table that the VM has */
static void give_idt(struct ctx *c, unsigned vector)
{
    struct __attribute__((packed)) { uint16_t limit; uint64_t base; } idtr;

    asm volatile("sidt %0" : "=m"(idtr));
    c->vm->idtr = (struct vmcb_seg) { .limit = idtr.limit, .base = idtr.base };
    set_gate(vector, c->base + AS_TEXT_OFF + vector, 3);
}

static void inject(struct ctx *c, unsigned vector, uint32_t type)
{
    struct area *a;
    uint64_t got;

    into_vm(c);
    give_idt(c, vector);
    prepare(c);
    start(c, ACT_vmmcall);
    want_exit(c, VMEXIT_VMMCALL, 0);
    a = prepare(c);
    a->orders.rflags = 2;
    a->orders.gpr[RSI] = c->base;
    a->orders.gpr[RDI] = user(a->scratch);
    a->orders.gpr[RCX] = AS_PSP_FRAMES + AS_FRAME_SIZE;
    prepare_start(c, ACT_movs, resume_point(c, 0));
    c->vm->event_inject = EVENT_VALID | type | vector;
    stay_once(c, 0);
    set_gate(vector, (uint64_t)acs_stubs + 16 * vector, 0);
    want_landing(c);
    want("requested program counter", frame_word(a->scratch, AS_PSP_RPC + 8),
         c->base + AS_TEXT_OFF + vector);
    got = frame_word(a->scratch, AS_PSP_FRAMES + AS_FR_CAUSE);
    if (got == (AS_CAUSE_SOFTWARE | (uint64_t)SYSTEM_CALL << 32)) {
        learnt("the program's handler believes that INT 0x%lx came", got >> 32);
        return;
    }
    want("cause", (uint32_t)got, AS_CAUSE_VMEXIT);
    skip(c, HYPERCALL_BYTES);
    resume(c);
    want_unharmed(c);
}

static void system_call(struct ctx *c)
{
    inject(c, SYSTEM_CALL, 0);
}

static void vmm_communication(struct ctx *c)
{
    inject(c, 29, EXCEPTION);
}

static void floating_point(struct ctx *c)
{
    inject(c, 16, EXCEPTION);
}

const struct test ATTACK[] = {
    { NAME "INT 0x80", system_call, LEVEL0 | VM },
    { NAME "#VC", vmm_communication, LEVEL0 | VM },
    { NAME "#MF", floating_point, LEVEL0 | VM },
    { NULL, NULL, 0 },
};
