/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: a call gate that takes a program's stack pointer out with it
 * Row: 45
 * Rule: E8, X1
 * Guard: E8.level
 * Record: F2
 * Source: the pushes of gates and task switches, which SGX forbids in enclaves
 * Mechanism: a program at level 3 makes a far call through a gate of the 'visor's; the CPU pushes its RSP and RIP to
 *   the stack of the TSS, and that is done before anything fetches outside.
 * Seen: the call is F2, an event; nothing of the program's is on that stack.
 * Limits: level 3; at level 0 a gate changes no stack, and is the same F2 (45-gate-into-the-middle).
 */
#include "attack.h"

#define LOOKED_AT       0x100

static void call_gate(struct ctx *c)
{
    struct __attribute__((packed)) { uint32_t offset; uint16_t selector; } *far;
    uint64_t *stack = host(cpus[0].tss.rsp[0] - LOOKED_AT);
    struct area *a = prepare(c);

    memset(stack, 0, LOOKED_AT);
    set_call_gate((uint64_t)landing);
    far = (void *)a->scratch;
    far->offset = 0;
    far->selector = SEL_CALL_GATE;
    a->orders.gpr[RBX] = user(far);
    prepare_start(c, ACT_far_call, c->base + AS_TEXT_OFF);
    stay_once(c, 0);
    for (unsigned i = 0; i < LOOKED_AT / 8; i++) {
        if (stack[i] - c->base - AS_TEXT_OFF < (uint64_t)c->pages * PAGE_SIZE) {
            learnt("the stack of level 0 has the program's 0x%lx", stack[i]);
        }
    }
    if (!has_learnt()) {
        want("F2: vector", seen()->vector, 13);
        want("F2: RIP", seen()->st.rip, resume_point(c, 0));
        check_outside(c, seen());
    }
}

const struct test ATTACK[] = {
    { NAME "call gate", call_gate, LEVEL3 },
    { NULL, NULL, 0 },
};
