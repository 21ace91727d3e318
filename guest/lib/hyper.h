/* SPDX-License-Identifier: MIT-0 */
/*
 * What the untrusted 'visor and the OS in its VM agree on.  Nothing here is
 * hardware and nothing here is believed by the OS further than it must be:
 * all of it lies in ordinary memory that the 'visor owns.
 *
 * The OS runs at privilege level 0 in a VM (64-bit, nested paging).  The
 * 'visor maps guest linear [0, ordinary_bytes) one to one to ordinary guest
 * memory, writable and executable, and the OS's window range
 * [base, base + memory_bytes) readable and executable to the image's pages, so
 * that fetches there are ENTERs (E1).  Data accesses to the window never use
 * these tables (W3).
 *
 * RSP is at the top of a stack in ordinary memory when the 'visor first jumps to
 * the OS: hardware brings that RSP back at each exit (E3), so that is where
 * the CPU pushes when the 'visor injects a vector.  The OS never uses it.
 */
#ifndef GUEST_HYPER_H
#define GUEST_HYPER_H

#ifndef __ASSEMBLER__
#include <stdint.h>

#define BOOT_MAGIC 0x544f4f4248545341ull        /* "ASTHBOOT" */

/**
 * struct boot_info - in ordinary memory; its linear address is in RDI at the first START
 * @magic: BOOT_MAGIC
 * @base: window address of the image (its PSP)
 * @ordinary_bytes: size of ordinary guest memory, mapped at linear 0
 * @stub: linear address of a page of ordinary memory where the OS puts its
 *        call-out stub (X3)
 * @shared: linear address of ordinary memory for mailbox, text, sealed pages, IDT
 * @shared_bytes: its size, at least 64 KiB
 * @timer_vector: vector that the 'visor injects some 100 times a second when IF is set
 * @timer_entry: written by the OS: window address to START for a timer
 *        interrupt; informative, the IDT gate is what counts
 * @release_entry: written by the OS: window address that the 'visor STARTs,
 *        with RDI = window page, to ask for that page (P3, swapping)
 * @return_entry: written by the OS: window address that the 'visor STARTs, with
 *        RDI = window page, after it ALLOCated a page that was touched (F1)
 */
struct boot_info {
    uint64_t magic;
    uint64_t base;
    uint64_t ordinary_bytes;
    uint64_t stub;
    uint64_t shared;
    uint64_t shared_bytes;
    uint64_t timer_vector;
    uint64_t timer_entry;
    uint64_t release_entry;
    uint64_t return_entry;
};
#endif

/* Hypercalls: VMMCALL in the stub, RAX = number, arguments RDI, RSI, RDX, RCX;
 * the answer is in RAX, all other registers are unchanged.  Statuses are those
 * of the trusted DMA controller (AS_OK, AS_E_*). */
#define HC_PRINT        1       /* RDI: linear address of text in ordinary memory, RSI: bytes */
#define HC_ALLOC        2       /* RDI: window page, RSI: pages -> status */
#define HC_OPEN         3       /* RDI: device << 8 | direction, RSI: window page, RDX: bytes -> status */
#define HC_CLOSE        4       /* the same -> status */
#define HC_WAIT         5       /* sleep until a key or another event is there; may return for no reason */
#define HC_DONE         6       /* a request handler (release_entry, return_entry) is done: RDI = its window page.
                                   The 'visor goes back to the interrupted frame's resume point */
#define HC_EXIT         7       /* RDI: exit code; the OS wants to end */
#define HC_PHASE        8       /* RDI: PHASE_*; tells the 'visor how far the OS is, so that a demo can act.
                                   The 'visor may do what it likes before it returns, also START
                                   release_entry or return_entry */
#define HC_REFUSED      9       /* RDI: a requested program counter that the OS does not serve, or not now.
                                   Nothing changed; the 'visor goes back to what it left: the top frame's
                                   resume point or the call-out it had not answered */

/* HC_DONE, HC_EXIT and HC_REFUSED are final: the 'visor does not return from them. */

#define PHASE_BOOTED    1       /* memory, interrupts and allocation work */
#define PHASE_SWAP      2       /* RSI: a window page the OS can give up; it will touch the page after this call */
#define PHASE_INPUT     3       /* the channel is open: type the passphrase, ended by Enter */
#define PHASE_IDLE      4       /* all is done; the OS computes for ever with a secret in its registers and memory.
                                   RSI: the window page that holds the secret */
#define PHASE_ASK       5       /* both channels are open, a question is on the LCD: answer y or n, and Enter.
                                   Comes between PHASE_INPUT and PHASE_IDLE */

/* Exit codes of HC_EXIT */
#define EXIT_BOOT_INFO  1       /* struct boot_info makes no sense */
#define EXIT_NO_PAGES   2       /* ALLOC failed, or the pages were not zero */
#define EXIT_FAULT      3       /* a fault of the OS's own */
#define EXIT_SEAL       4       /* a sealed page came back changed or old */
#define EXIT_NO_INPUT   5       /* no channel to the keyboard, or a ring that makes no sense */
#define EXIT_CHANGED    6       /* a register or its memory changed under the OS */
#define EXIT_RANDOM     7       /* the CPU gives no random numbers */
#endif
