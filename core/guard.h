/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guards that a developer may switch off, one at a time, to see that an attack
 * then succeeds: -machine appsheath,x-unsafe=on,x-weaken=NAME.
 *
 * A name begins with the rule that the guard keeps.  The code asks as_guard()
 * where it keeps the rule; nothing that a guest does changes the answer.
 */
#ifndef APPSHEATH_CORE_GUARD_H
#define APPSHEATH_CORE_GUARD_H

#include <stdbool.h>
#include <stdio.h>

#define AS_GUARDS(X) \
    X(W2_OWNER, "W2.owner", "an SLB serves and releases its own context's pages alone") \
    X(W3_WINDOW, "W3.window", "inside, page tables play no part in the window") \
    X(A1_ATTRS, "A1.attrs", "accesses that say nothing of their origin are untrusted") \
    X(A2_CPU, "A2.cpu", "software does not reach protected pages") \
    X(A2_WALK, "A2.walk", "page walks, VMCBs and their kind do not reach them") \
    X(A2_DMA, "A2.dma", "devices do not reach them") \
    X(A2_OVER, "A2.over", "nothing can be laid over protected memory") \
    X(A2_SHARE, "A2.share", "no other process shares the RAM") \
    X(A3_BITS, "A3.bits", "a denied access does not look like a missing page") \
    X(A5_LOW, "A5.low", "memory that the chipset may remap cannot be protected") \
    X(A6_PIN, "A6.pin", "a page that a device has mapped cannot be locked") \
    X(A7_TLB, "A7.tlb", "no TLB keeps a page that was locked") \
    X(A7_SLB, "A7.slb", "no SLB keeps a page that was given back") \
    X(A7_SWITCH, "A7.switch", "an SLB forgets one context before it serves another") \
    X(A8_ALLOC, "A8.alloc", "new pages are zero") \
    X(A8_RELEASE, "A8.release", "a released page is zeroed") \
    X(A8_KILL, "A8.kill", "a killed context's pages are zeroed") \
    X(A8_SAVE, "A8.save", "protected memory is neither saved nor migrated") \
    X(D2_FRAME, "D2.frame", "a page is at one place only") \
    X(D2_RANGE, "D2.range", "a window page has one page only") \
    X(D3_TAKES, "D3.takes", "pages that programs wait for are limited") \
    X(D4_ATTRS, "D4.attrs", "the controller is a device at the 'visor's addresses") \
    X(L1_LOCK, "L1.lock", "an image is locked before it is read") \
    X(L2_WHOLE, "L2.whole", "an image is compared to its last byte") \
    X(L2_HEADER, "L2.header", "reserved fields of a header are zero") \
    X(L2_BASE, "L2.base", "an image lies where it was linked to") \
    X(L3_TAIL, "L3.tail", "what follows the image is zero") \
    X(L4_EXEC, "L4.exec", "only text is executable, and nothing changes it") \
    X(L5_CHANNEL, "L5.channel", "an open context opens no channel") \
    X(L6_FRESH, "L6.fresh", "the key is read afresh at each CREATE") \
    X(K1_SUM, "K1.sum", "a damaged key is bad") \
    X(K1_NAME, "K1.name", "names are printable") \
    X(K1_TWINS, "K1.twins", "a key, or two, name a name and an image once") \
    X(E1_PAGE, "E1.page", "only what is mapped to the context's own page enters") \
    X(E2_ENTRY, "E2.entry", "a START begins at the entry point") \
    X(E2_DEPTH, "E2.depth", "a START does not reuse a frame that waits to be resumed") \
    X(E3_FLAGS, "E3.flags", "a START has clean flags") \
    X(E3_FPU, "E3.fpu", "a START has clean x87 and SSE control") \
    X(E3_KEPT, "E3.kept", "what was kept of the 'visor comes back") \
    X(E4_FRAME, "E4.frame", "a forged frame gives no privilege") \
    X(E5_MODE, "E5.mode", "only 64-bit code enters") \
    X(E5_LEVEL, "E5.level", "only the level of the image enters") \
    X(E5_RUNNING, "E5.running", "a context runs on one vCPU") \
    X(E5_FRAMES, "E5.frames", "a START needs a free frame") \
    X(E5_FEATURES, "E5.features", "what the header asks for is enabled") \
    X(E5_STRADDLE, "E5.straddle", "no instruction lies across the border") \
    X(E6_DEBUG, "E6.debug", "the 'visor's breakpoints do not fire inside") \
    X(E6_STEP, "E6.step", "the 'visor's single step does not fire inside") \
    X(E8_LEVEL, "E8.level", "a change of level leaves") \
    X(E8_TRANSFER, "E8.transfer", "gates, SYSCALL and SYSENTER leave first") \
    X(E8_MODE, "E8.mode", "a change of mode kills") \
    X(X1_GPR, "X1.gpr", "general registers are flushed") \
    X(X1_FLAGS, "X1.flags", "flags are flushed") \
    X(X1_VECTORS, "X1.vectors", "x87, SSE and AVX are flushed") \
    X(X1_BASES, "X1.bases", "FS and GS bases are flushed") \
    X(X1_DEBUG, "X1.debug", "debug registers are flushed") \
    X(X2_INIT, "X2.init", "INIT flushes first") \
    X(X2_RIP, "X2.rip", "an event shows the resume point as RIP") \
    X(X2_INFO, "X2.info", "exits tell page and kind of an access only") \
    X(X2_MUTE, "X2.mute", "from inside, the CPU writes nothing of its own to memory") \
    X(X2_CAUSE, "X2.cause", "a frame holds the true cause") \
    X(X3_JUMP, "X3.jump", "a jump out flushes") \
    X(X5_THROW, "X5.throw", "a kill throws vCPUs out, flushed") \
    X(X6_RESET, "X6.reset", "a reset kills every context first") \
    X(F1_PAGE, "F1.page", "a fault in the window shows a plain read of the page") \
    X(P1_PORT, "P1.port", "the port answers to programs inside alone") \
    X(P2_REFUSE, "P2.refuse", "PSP, text and channels are not released") \
    X(P3_TAKE, "P3.take", "a page is not served before the program takes it") \
    X(P5_OFFER, "P5.offer", "a channel opens on what was offered") \
    X(T1_KEYS, "T1.keys", "keys go to the channel and nowhere else") \
    X(T1_MASK, "T1.mask", "ring indices that a program forges are masked") \
    X(T1_COUNT, "T1.count", "a ring counts keys that it drops") \
    X(T2_BLANK, "T2.blank", "the LCD is blank unless a channel is open") \
    X(T3_GUARD, "T3.guard", "keys are dropped for a while at a change of owner") \
    X(T4_LINE, "T4.line", "a program's text stays on its own line")

#define AS_GUARD_ID(id, name, what) AS_GUARD_##id,
typedef enum AsGuard {
    AS_GUARD_NONE,              /* all are on */
    AS_GUARDS(AS_GUARD_ID)
    AS_GUARD_COUNT
} AsGuard;

/** as_guard_off - the one that is off; set once, before the machine starts */
extern AsGuard as_guard_off;

/** as_guard - AS_GUARD(A2_CPU): is this guard on?  It is, but for tests */
#define AS_GUARD(id) __builtin_expect(as_guard_off != AS_GUARD_##id, 1)

/** as_guard_find - the guard of that name, or AS_GUARD_NONE */
AsGuard as_guard_find(const char *name);

/** as_guard_name - its name; NULL: no such guard */
const char *as_guard_name(AsGuard guard);

/** as_guard_list - print all with what they guard */
void as_guard_list(FILE *to);

#endif
