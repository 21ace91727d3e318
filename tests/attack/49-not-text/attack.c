/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: code that nobody measured, in a program's own memory
 * Row: 49
 * Rule: L4, F2
 * Guard: L4.exec
 * Record: F2
 * Source: code injection into enclaves by what they are given to read (Dark-ROP, USENIX Security 2017); SGX's EMODPE
 * Mechanism: a program with a fault writes the 'visor's bytes to its data, to a new page, or over its text, and jumps there.  They
 *   copy a word of its secret to ordinary memory.
 * Seen: the fetch, or the store to text, is an event, and the secret stays inside.
 * Limits: code that is there already can still be used (ROP), which is the program's own business.
 */
#include "lib.h"

static volatile uint64_t stolen;

/* mov secret, %rax; mov %rax, stolen; int3 */
static void put_code(struct ctx *c, uint64_t at)
{
    uint8_t code[24] = { 0x48, 0xa1, [10] = 0x48, 0xa3, [20] = 0xcc };
    uint64_t from = info(c, INFO_SECRET), to = user((const void *)&stolen), word;

    __builtin_memcpy(code + 2, &from, 8);
    __builtin_memcpy(code + 12, &to, 8);
    for (unsigned i = 0; i < sizeof(code); i += 8) {
        __builtin_memcpy(&word, code + i, 8);
        poke(c, at + i, word);
    }
}

static void jump_there(struct ctx *c, uint64_t at)
{
    stolen = 0;
    prepare(c)->orders.gpr[RBX] = at;
    start(c, ACT_jump);
    if (stolen) {
        learnt("a word of the program: 0x%lx", stolen);
    }
}

static void data(struct ctx *c)
{
    uint64_t at = info(c, INFO_SPARE);

    put_code(c, at);
    jump_there(c, at);
}

static void new_page(struct ctx *c)
{
    uint64_t at = NOBODY_VA(c);

    if (alloc_page(c, at, my_page()) != AS_OK || command(c, AS_PORT_TAKE, at) != AS_P_OK) {
        give_up("the program gets no page");
    }
    put_code(c, at);
    jump_there(c, at);
}

static void text(struct ctx *c)
{
    uint64_t at = action_at(c, ACT_traps), before = peek(c, at);

    prepare(c)->orders.gpr[RBX] = at;
    start(c, ACT_write);
    if (at_event(c)) {
        return;
    }
    if (peek(c, at) != before) {
        learnt("the program's text is another one: 0x%lx", peek(c, at));
    }
}

const struct test ATTACK[] = {
    { NAME "data", data, BOTH },
    { NAME "new-page", new_page, BOTH },
    { NAME "text", text, BOTH },
    { NULL, NULL, 0 },
};
