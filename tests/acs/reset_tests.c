/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Resets while a context lives (X6): kernel.c looks at its pages when the machine is there
 * again.  The last thing that each of these does is to reset it.
 */
#include "kernel.h"

#define RESET_PORT      0xcf9
#define RESET_HARD      6
#define CR4_MCE         0x40ul
#define PATIENCE        (2 * TIMER_HZ)

/* A frame and a secret are on its pages */
static void live(struct ctx *c)
{
    poke(c, info(c, INFO_SPARE), SECRET_WORD);
    prepare(c);
    start(c, ACT_int3);
    want_event(c, 3, 0);
    prepare(c);
}

/* No table of interrupts: the next exception finds no handler, nor do those that follow */
static void no_idt(void)
{
    struct __attribute__((packed)) { uint16_t limit; uint64_t base; } none = { 0, 0 };

    asm volatile("cli; lidt %0" : : "m"(none));
}

static void triple_fault(struct ctx *c)
{
    live(c);
    expect_reset(c);
    no_idt();
    start(c, ACT_ud2);
}

/* The program does it itself: level 0 may */
static void by_port(struct ctx *c)
{
    struct area *a;

    live(c);
    a = prepare(c);
    a->orders.gpr[RDX] = RESET_PORT;
    a->orders.gpr[RAX] = RESET_HARD;
    expect_reset(c);
    start(c, ACT_out);
    wait_for_interrupt();
}

static void loop_there(void *c)
{
    flush_tlb();
    prepare(c);
    start(c, ACT_loop);
}

static void begin_loop_there(struct ctx *c)
{
    uint64_t deadline = ticks + PATIENCE;

    live(c);
    job_begin(loop_there, c);
    while (running_on(c) != 1 && ticks < deadline) {
        asm volatile("pause");
    }
    want("the second vCPU is inside", running_on(c), 1);
    expect_reset(c);
}

static void wait_for_reset(void)
{
    uint64_t deadline = ticks + PATIENCE;

    while (ticks < deadline) {
        wait_for_interrupt();
    }
}

static void while_inside(struct ctx *c)
{
    begin_loop_there(c);
    outb(RESET_PORT, RESET_HARD);
    wait_for_reset();
}

static void triple_fault_elsewhere(struct ctx *c)
{
    begin_loop_there(c);
    no_idt();
    asm volatile("ud2");
}

static void by_monitor(struct ctx *c)
{
    begin_loop_there(c);
    ask_monitor("system_reset");
    wait_for_reset();
}

/* A vCPU that is not ready for #MC does not survive it */
static void machine_check(struct ctx *c)
{
    live(c);
    expect_reset(c);
    asm volatile("mov %0, %%cr4" : : "r"(good_cr4 & ~CR4_MCE));
    ask_monitor("mce 0 1 0xb000000000000000 0x5 0 0");
    start(c, ACT_loop);
}

const struct test reset_tests[] = {
    { "X6,A8/triple-fault", triple_fault, BOTH | RESETS | ALIKE },
    { "X6,A8/by-the-program", by_port, LEVEL0 | RESETS | ALIKE },
    { "X6,A8/while-inside", while_inside, BOTH | RESETS | ALIKE },
    { "X6,A8/triple-fault-elsewhere", triple_fault_elsewhere, BOTH | RESETS },
    { "X6,A8/by-the-person", by_monitor, BOTH | RESETS },
    { "X6,A8/machine-check-disabled", machine_check, BOTH | RESETS },
    { 0 }
};
