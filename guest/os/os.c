/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Thimble's life, and what a START may ask of it.
 *
 * What it prints is the same in a trusted and in an open context, and in each run: it
 * cannot tell them apart (P6), and nothing it prints depends on addresses or times.
 */
#include "os.h"
#include "../lib/entry.h"
#include "../lib/mem.h"
#include "../lib/port.h"

#define TICKS 3

/* Exit codes of SVM, as a frame shows them. */
#define EXIT_PF         0x4e
#define EXIT_INTR       0x60
#define EXIT_VINTR      0x64
#define EXIT_PAUSE      0x77
#define EXIT_HLT        0x78
#define EXIT_NPF        0x400

extern uint64_t thread[8];              /* entry.S; the canary is its word 5 */

static bool booted;
static uint64_t ticks;

static uint64_t now_ticks(void)
{
    return __atomic_load_n(&ticks, __ATOMIC_RELAXED);
}

/* ------------------------------------------------------------------ */
/* What a START may ask                                                */
/* ------------------------------------------------------------------ */

/* The frame under us was interrupted, it did not cause anything itself. */
static bool asynchronous(uint64_t frame)
{
    uint64_t code = frame_get(frame, AS_FR_EXIT_CODE);

    switch (frame_cause(frame)) {
    case AS_CAUSE_INTERRUPT:
    case AS_CAUSE_NMI:
    case AS_CAUSE_SMI:
    case AS_CAUSE_INIT:
        return true;
    case AS_CAUSE_VMEXIT:
        return (code >= EXIT_INTR && code <= EXIT_VINTR) ||
               code == EXIT_PAUSE || code == EXIT_HLT || code == EXIT_NPF;
    }
    return false;
}

/* It touched a page that is not there, and will touch it again. */
static bool missing_page(uint64_t frame)
{
    uint32_t cause = frame_cause(frame);

    return cause == AS_CAUSE_WINDOW ||
           (cause == AS_CAUSE_VMEXIT &&
            frame_get(frame, AS_FR_EXIT_CODE) == EXIT_PF);
}

static _Noreturn void swapped_in(enum swap_result result, uint64_t page,
                                 bool ours)
{
    if (result == SWAP_CHANGED) {
        give_up(EXIT_SEAL,
                "Thimble: a sealed page came back changed or old; I end.\n");
    }
    if (result == SWAP_DONE && ours) {
        port_resume();
    }
    farewell(result == SWAP_DONE ? HC_DONE : HC_REFUSED, page);
}

static void on_timer(uint64_t frame)
{
    if (asynchronous(frame) || missing_page(frame)) {
        __atomic_fetch_add(&ticks, 1, __ATOMIC_RELAXED);
        port_resume();
    }
}

/* All vectors but the timer's: the gate says little, the frame says it all. */
static void on_fault(uint64_t frame)
{
    uint64_t page = frame_get(frame, AS_FR_CR2) & -AS_PAGE_SIZE;

    if (missing_page(frame) && swap_is_away(page)) {
        if (hypercall(HC_ALLOC, page, 1, 0) != AS_OK) {
            give_up(EXIT_NO_PAGES,
                    "Thimble: the 'visor does not give my page back; I end.\n");
        }
        swapped_in(swap_in(page), page, true);
    }
    if (asynchronous(frame)) {
        port_resume();                  /* nothing of ours: an NMI, or a forged vector */
    }
    give_up(EXIT_FAULT, "Thimble: I made a fault that I cannot mend; I end.\n");
}

/*
 * A gate is believed only over a frame, and not while a call-out of this
 * depth waits: then no event of ours can have led to it.
 */
static bool interrupted(uint64_t depth)
{
    return depth > 0 && calls[depth] == 0;
}

static _Noreturn void boot(uint64_t info, uint64_t rpc);

void started(uint64_t rdi, uint64_t rpc, uint64_t depth)
{
    asm volatile("cli" : : : "memory");
    if (depth == 0 && !booted) {
        booted = true;
        boot(rdi, rpc);
    }
    if (rpc == (uintptr_t)timer_gate && interrupted(depth)) {
        on_timer(depth - 1);
    } else if (rpc == (uintptr_t)fault_gate && interrupted(depth)) {
        on_fault(depth - 1);
    } else if (rpc == (uintptr_t)release_gate && swap_out(rdi)) {
        farewell(HC_DONE, rdi);
    } else if (rpc == (uintptr_t)return_gate) {
        swapped_in(swap_in(rdi), rdi, false);
    }
    farewell(HC_REFUSED, rpc);
}

/* ------------------------------------------------------------------ */
/* The life of the OS                                                  */
/* ------------------------------------------------------------------ */

/* The same instructions reach both kinds of memory (W4). */
static void use_memory(void)
{
    static uint64_t protected[64];
    uint64_t *ordinary = outside(OUTSIDE_SCRATCH);
    unsigned i;

    for (i = 0; i < 64; i++) {
        protected[i] = i * i + 1;
    }
    memcpy(ordinary, protected, sizeof(protected));
    memset(protected, 0, sizeof(protected));
    memcpy(protected, ordinary, sizeof(protected));
    for (i = 0; i < 64; i++) {
        if (protected[i] != i * i + 1) {
            say("Thimble: ordinary memory did not keep what I put there.\n");
            return;
        }
    }
    say("Thimble: I use protected and ordinary memory with the same instructions.\n");
}

static void use_timer(void)
{
    uint64_t until = now_ticks() + TICKS;

    asm volatile("sti" : : : "memory");
    while (now_ticks() < until) {
        asm volatile("pause");
    }
    say("Thimble: the timer interrupted me; I read the true cause in the frame and went on.\n");
}

static void use_pages(void)
{
    if (!heap_init()) {
        give_up(EXIT_NO_PAGES,
                "Thimble: I asked for pages and did not get them, or not zero ones; I end.\n");
    }
    say("Thimble: I asked for pages, took them and found them zero.\n");
}

/* The page is touched again as soon as the 'visor had its chance to ask for it. */
static void use_swapping(void)
{
    volatile uint64_t *words = heap_page(PAGE_SWAP);
    uint64_t secret, i;

    if (!random_get(&secret)) {
        give_up(EXIT_RANDOM, "Thimble: the CPU gives me no random numbers; I end.\n");
    }
    for (i = 0; i < AS_PAGE_SIZE / 8; i++) {
        words[i] = secret + i * 0x9e3779b97f4a7c15;
    }
    heap_lend(PAGE_SWAP);
    hypercall(HC_PHASE, PHASE_SWAP, (uintptr_t)words, 0);
    for (i = 0; i < AS_PAGE_SIZE / 8; i++) {
        if (words[i] != secret + i * 0x9e3779b97f4a7c15) {
            give_up(EXIT_SEAL, "Thimble: my page is not what it was; I end.\n");
        }
    }
    if (heap_returns(PAGE_SWAP)) {
        say("Thimble: I sealed a page and gave it away; it came back and opened unchanged.\n");
    } else {
        say("Thimble: nobody asked for my page.\n");
    }
}

/* Proof and secret have nothing in common that a person could compute. */
static void show_proof(const char *passphrase)
{
    static const char digits[] = "0123456789abcdef";
    char text[] = "Thimble: I have it, and nobody else. proof: ........\n";
    char *at = text + sizeof(text) - 2 - 8;
    uint8_t hash[32];
    unsigned i;

    digest(hash, "Thimble proof: ", passphrase);
    for (i = 0; i < 4; i++) {
        *at++ = digits[hash[i] >> 4];
        *at++ = digits[hash[i] & 15];
    }
    say(text);
}

static void make_secret(const char *passphrase)
{
    uint8_t *secret = heap_page(PAGE_SECRET);

    digest(secret, "Thimble secret, first half: ", passphrase);
    digest(secret + 32, "Thimble secret, second half: ", passphrase);
}

static _Noreturn void compute(void)
{
    uint64_t *secret = heap_page(PAGE_SECRET);

    if (idle(secret, true)) {
        say("Thimble: I compute with my secret in all registers, for ever.\n");
        hypercall(HC_PHASE, PHASE_IDLE, (uintptr_t)secret, 0);
        idle(secret, false);
    }
    give_up(EXIT_CHANGED, "Thimble: my secret changed under me; I end.\n");
}

static void boot(uint64_t info, uint64_t rpc)
{
    static struct keys_line line;

    if (!outside_init(info)) {
        farewell(HC_EXIT, EXIT_BOOT_INFO);
    }
    if (!random_get(&thread[5]) || !seal_init()) {
        give_up(EXIT_RANDOM, "Thimble: the CPU gives me no random numbers; I end.\n");
    }
    if (rpc == (uintptr_t)entry) {
        say("Thimble: I was asked to start at my first address, and did.\n");
    } else {
        say("Thimble: I was asked for another place, but started at my first address.\n");
    }
    use_memory();
    use_pages();
    use_timer();
    hypercall(HC_PHASE, PHASE_BOOTED, 0, 0);
    use_swapping();
    read_passphrase(&line);
    show_proof(line.text);
    make_secret(line.text);
    memset(&line, 0, sizeof(line));
    ask_to_pay();
    compute();
}
