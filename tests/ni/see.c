/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the 'visor sees: hashes by kind, one line a step; of one step all of it, word by word. */
#include "nik.h"

#define LOW_END         0xa0000ul       /* then the hole, with SMRAM behind it */
#define RAM_END         (64 * MIB)
#define CHUNK           (16 * PAGE_SIZE)
#define SMRAM_BYTES     0x20000
#define SMRAM_RIP       0xff78
#define MCH_SMRAM       0x9c
#define SMRAM_OPEN      0x4000          /* D_OPEN of the byte at 0x9d */
#define FX_BYTES        416             /* what FXSAVE writes */

uint64_t show_seed, show_step;
static uint64_t seed_now, step_now;
static uint64_t hash[SEE_COUNT];
static bool showing;
static uint64_t turn;                   /* of the memory that is looked at next */

static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0x9e3779b97f4a7c15ul;
    return h ^ h >> 32;
}

void see_begin(uint64_t seed, uint64_t step)
{
    seed_now = seed;
    step_now = step;
    showing = seed == show_seed && step == show_step;
    memset(hash, 0, sizeof(hash));
}

void see(unsigned kind, const char *name, uint64_t value)
{
    hash[kind] = mix(hash[kind], value);
    if (showing) {
        say_line("show %s 0x%lx", name, value);
    }
}

void see_bytes(unsigned kind, const char *name, const void *at, uint64_t bytes)
{
    const uint64_t *words = at;
    uint64_t h = hash[kind];

    for (uint64_t i = 0; i < bytes / 8; i++) {
        h = mix(h, words[i]);
        if (showing && words[i]) {
            say_line("show %s+0x%lx 0x%lx", name, 8 * i, words[i]);
        }
    }
    hash[kind] = h;
}

/* A page that should not be protected any more */
void see_page(const char *name, uint64_t page)
{
    uint64_t first;
    bool faults = attempt(this_cpu(), do_load8, page, (uint64_t)&first);

    see(SEE_memory, "faults", faults);
    if (!faults) {
        see_bytes(SEE_memory, name, host(page), PAGE_SIZE);
    }
}

/* ---- registers ---- */

static void see_state(const struct seen *s)
{
    static const char *const names[16] = {
        "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
        "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
    };

    for (unsigned i = 0; i < 16; i++) {
        see(SEE_regs, names[i], s->st.gpr[i]);
    }
    see(SEE_regs, "rip", s->st.rip);
    see(SEE_regs, "rflags", s->st.rflags);
    see_bytes(SEE_vectors, "fxsave", s->st.fx, FX_BYTES);
    see_bytes(SEE_vectors, "ymm", s->st.ymm, sizeof(s->st.ymm));
    see(SEE_system, "fs base", s->st.fs);
    see(SEE_system, "gs base", s->st.gs);
    see(SEE_system, "kernel gs base", s->kernel_gs);
    see(SEE_system, "pkru", s->pkru);
}

static void see_event(const struct ctx *c, const struct seen *s)
{
    see(SEE_regs, "vector", s->vector);
    see(SEE_regs, "cr2", s->cr2);
    for (unsigned i = 0; i < 8; i++) {
        if (i != 4 && i != 5) {
            see(SEE_system, "saved dr", s->dr[i]);
        }
    }
    if (c->vm) {
        see(SEE_regs, "exit", s->exit);
        see(SEE_regs, "exit info 1", s->info1);
        see(SEE_regs, "exit info 2", s->info2);
        see_bytes(SEE_vmcb, "vmcb", c->vm, PAGE_SIZE);
    } else {
        see(SEE_regs, "error", s->error);
        see(SEE_regs, "cs", s->cs);
        see(SEE_regs, "ss", s->ss);
    }
}

/* As they are now: what nobody saves is still there */
static void see_live(void)
{
    static const uint32_t msrs[] = {
        0xc0000080, 0xc0000081, 0xc0000082, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102,
        0x174, 0x175, 0x176, 0x1b, 0x277,
    };
    uint64_t v[8] = { 0 };

    asm volatile("mov %%dr0, %0" : "=r"(v[0]));
    asm volatile("mov %%dr1, %0" : "=r"(v[1]));
    asm volatile("mov %%dr2, %0" : "=r"(v[2]));
    asm volatile("mov %%dr3, %0" : "=r"(v[3]));
    asm volatile("mov %%dr6, %0" : "=r"(v[4]));
    asm volatile("mov %%dr7, %0" : "=r"(v[5]));
    asm volatile("mov %%cr0, %0" : "=r"(v[6]));
    asm volatile("mov %%cr4, %0" : "=r"(v[7]));
    see_bytes(SEE_system, "dr0-3 dr6 dr7 cr0 cr4", v, sizeof(v));
    see(SEE_system, "cr2 now", read_cr2());
    see(SEE_system, "pkru now", has_pku ? read_pkru() : 0);
    for (unsigned i = 0; i < COUNT(msrs); i++) {
        see(SEE_system, "msr", rdmsr(msrs[i]));
    }
}

void see_stay(const struct ctx *c, bool timed)
{
    uint64_t passed = clock_end();
    const struct seen *s = seen();

    see_state(s);
    see_event(c, s);
    see_live();
    if (timed) {
        see(SEE_time, "tsc", passed);
    }
}

/* ---- the machine ---- */

static void see_log(void)
{
    see(SEE_log, "denials", reg(AS_REG_DENIALS));
    see(SEE_log, "log count", reg(AS_REG_LOG_COUNT));
    see(SEE_log, "log lost", reg(AS_REG_LOG_LOST));
    while (reg(AS_REG_LOG_COUNT)) {
        see(SEE_log, "log page", reg(AS_REG_LOG_PAGE) | (uint64_t)reg(AS_REG_LOG_PAGE + 4) << 32);
        see(SEE_log, "log info", reg(AS_REG_LOG_INFO) | (uint64_t)reg(AS_REG_LOG_INFO + 4) << 32);
        reg_set(AS_REG_LOG_POP, 1);
    }
}

static void see_notes(void)
{
    see(SEE_log, "notes", reg(AS_REG_NOTE_COUNT));
    see(SEE_log, "notes lost", reg(AS_REG_NOTE_LOST));
    while (reg(AS_REG_NOTE_COUNT)) {
        uint64_t page = reg(AS_REG_NOTE_PAGE);
        struct pool_page *p = pool_of(page);

        see(SEE_log, "note", reg(AS_REG_NOTE_WHAT));
        see(SEE_log, "note psp", reg(AS_REG_NOTE_PSP) | (uint64_t)reg(AS_REG_NOTE_PSP + 4) << 32);
        see(SEE_log, "note va", reg(AS_REG_NOTE_VA) | (uint64_t)reg(AS_REG_NOTE_VA + 4) << 32);
        see(SEE_log, "note page", page);
        if (reg(AS_REG_NOTE_WHAT) == AS_NOTE_RELEASED && p) {
            p->owned = false;
            see_page("released page", page);
        }
        reg_set(AS_REG_NOTE_POP, 1);
    }
}

/* QUERY comes after whatever the controller still had to do */
static void see_contexts(void)
{
    static struct as_context_info list[64] __attribute__((aligned(64)));
    struct as_request req = {
        .op = AS_OP_QUERY, .device = AS_QUERY_CONTEXTS, .list = (uint64_t)list,
        .len = sizeof(list),
    };

    see(SEE_log, "query", request(&req));
    see_bytes(SEE_log, "contexts", list, req.result);
    for (unsigned i = 0; i < PROGRAMS; i++) {
        struct program *p = &programs[i];

        p->live = false;
        for (unsigned j = 0; j < req.result / sizeof(list[0]); j++) {
            if (p->c.pages && list[j].psp == p->c.base) {
                p->live = true;
                p->c.depth = list[j].depth;
            }
        }
    }
}

static bool readable(uint64_t page)
{
    struct pool_page *p = pool_of(page);

    return !p || !p->owned;
}

static void see_range(uint64_t from, uint64_t to)
{
    for (; from < to; from += PAGE_SIZE) {
        if (readable(from)) {
            see_page("memory", from);
        }
    }
}

/* Some of it in turn, or all */
void see_memory(bool all)
{
    uint64_t pool_end = pool_base + POOL_PAGES * PAGE_SIZE;

    if (all) {
        see_range(0, LOW_END);
        see_range(MIB, RAM_END);
        return;
    }
    turn += CHUNK;
    if (turn >= pool_end) {
        turn = MIB;
    }
    see_range(turn, turn + CHUNK < pool_end ? turn + CHUNK : pool_end);
}

void see_machine(void)
{
    see_contexts();
    see_log();
    see_notes();
    see(SEE_log, "status", reg(AS_REG_STATUS));
    see(SEE_log, "key", reg(AS_REG_KEY));
    see(SEE_pci, "msi-x pending", msix_pending());
    see_memory(false);
}

static void see_function(struct pci at)
{
    for (unsigned i = 0; i < 256; i += 4) {
        see(SEE_pci, "pci", pci_read(at, i));
    }
}

/*
 * Where an SMI saves registers: the 'visor may open it, unless the firmware has
 * locked it.  One that came when the stay was over found the 'visor waiting,
 * perhaps for the controller, which works by the host's clock.
 */
void see_smram(void)
{
    static const struct pci mch;
    uint32_t before = pci_read(mch, MCH_SMRAM);

    pci_write(mch, MCH_SMRAM, before | SMRAM_OPEN);
    see(SEE_memory, "smram", pci_read(mch, MCH_SMRAM));
    if (*(uint64_t *)host(LOW_END + SMRAM_RIP) >= tdma_window_base()) {
        see_bytes(SEE_memory, "smram", host(LOW_END), SMRAM_BYTES);
    }
    pci_write(mch, MCH_SMRAM, before);
}

void see_pci(void)
{
    see_function(tdma_at);
    see_function(edu_at);
    see_function(lpc_at);
}

void see_end(const char *what)
{
#define COLUMN(name) " " #name "=%08x"
#define VALUE(name) , (uint32_t)(hash[SEE_##name] ^ hash[SEE_##name] >> 32)
    say_line("step %lu %lu %s" KINDS(COLUMN), seed_now, step_now, what KINDS(VALUE));
}
