/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: every kind of transfer into the middle of a program
 * Row: 36
 * Rule: E2
 * Guard: E2.entry
 * Record: none: a transfer to any address is a START, at the entry point
 * Source: code reuse against enclaves: Dark ROP (USENIX Security 2017), Guard's Dilemma (USENIX Security 2018)
 * Mechanism: go straight to the program's own "store RAX at RBX" with both registers the 'visor's, by JMP, CALL, RET,
 *   far jump, far call, far return, IRET, SYSRET, call gate, interrupt gate and VMRUN.
 * Seen: the program begins at its entry point; the word at RBX is what it was.
 * Limits: one gadget; SYSEXIT and task gates are in the compliance suite.
 */
#include "attack.h"

#define MINE    0xbadc0ffee0ddf00d

static void into_middle(struct ctx *c, unsigned way)
{
    uint64_t secret = info(c, INFO_SECRET), before, after;

    before = peek(c, secret);
    c->way = way;
    prepare(c)->orders.rflags = 2;
    prepare_start(c, ACT_nothing, action_at(c, ACT_write));
    c->launch.gpr[RAX] = MINE;
    c->launch.gpr[RBX] = secret;
    if (way == WAY_CALL_GATE) {
        c->rsp[c->depth] -= 16;         /* CS and RIP */
    }
    stay(c);
    c->way = WAY_IRET;
    after = peek(c, secret);
    if (after == MINE) {
        learnt("the gadget ran: the program's word was 0x%lx and is 0x%lx", before, after);
    } else {
        want("the word", after, before);
        want("the program ran from its entry point", c->area[0]->dump.mark, DUMPED);
    }
}

#define BY(name, way) static void name(struct ctx *c) { into_middle(c, way); }
BY(by_iret, WAY_IRET)
BY(by_jmp, WAY_JMP)
BY(by_call, WAY_CALL)
BY(by_ret, WAY_RET)
BY(by_far_ret, WAY_LRET)
BY(by_far_jmp, WAY_LJMP)
BY(by_far_call, WAY_LCALL)
BY(by_sysret, WAY_SYSRET)
BY(by_far_ret_to_user, WAY_LRET_USER)

static void by_gate(struct ctx *c)
{
    set_gate(VEC_GATE, action_at(c, ACT_write), 0);
    into_middle(c, WAY_GATE);
    set_gate(VEC_GATE, (uint64_t)acs_stubs + 16 * VEC_GATE, 0);
}

static void by_call_gate(struct ctx *c)
{
    set_call_gate(action_at(c, ACT_write));
    into_middle(c, WAY_CALL_GATE);
}

static void by_vmrun(struct ctx *c)
{
    into_vm(c);
    into_middle(c, WAY_IRET);
}

const struct test ATTACK[] = {
    { NAME "IRET", by_iret, BOTH },
    { NAME "JMP", by_jmp, LEVEL0 },
    { NAME "CALL", by_call, LEVEL0 },
    { NAME "RET", by_ret, LEVEL0 },
    { NAME "far return", by_far_ret, LEVEL0 },
    { NAME "far jump", by_far_jmp, LEVEL0 },
    { NAME "far call", by_far_call, LEVEL0 },
    { NAME "interrupt gate", by_gate, LEVEL0 },
    { NAME "call gate", by_call_gate, LEVEL0 },
    { NAME "SYSRET", by_sysret, LEVEL3 },
    { NAME "far return to users", by_far_ret_to_user, LEVEL3 },
    { NAME "VMRUN", by_vmrun, LEVEL0 | VM },
    { NULL, NULL, 0 },
};
