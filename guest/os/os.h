/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Thimble: a small operating system that runs in a trusted context and trusts
 * nothing outside of it.
 *
 * outside.c  talks to the 'visor: call-outs, text, the stub, the IDT
 * swap.c     pages that come and go: take, seal and release, take and unseal
 * seal.c     authenticated encryption and digests
 * person.c   keys from a person, and the line that they see on the LCD
 * os.c       the rest: what a START may ask for, and the life of the OS
 */
#ifndef THIMBLE_OS_H
#define THIMBLE_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <appsheath/abi.h>
#include "../lib/hyper.h"
#include "../lib/keys.h"

#define FLAGS_IF (1 << 9)

/* gates.S: addresses that are only asked for, see os.c */
extern const uint8_t timer_gate[], fault_gate[], release_gate[], return_gate[];

/* ---- outside.c ---- */

/* Check what the 'visor says about ordinary memory and settle there. */
bool outside_init(uint64_t info);

/* Ordinary memory that nobody else of us uses: @bytes from @offset. */
#define OUTSIDE_SCRATCH 0x2000
#define OUTSIDE_SEALED  0x4000
void *outside(uint64_t offset);

/* Call out with number and arguments (HC_*); the answer is the 'visor's word, no more. */
uint64_t hypercall(uint64_t number, uint64_t rdi, uint64_t rsi, uint64_t rdx);

/* The same for good: HC_DONE, HC_EXIT, HC_REFUSED. */
_Noreturn void farewell(uint64_t number, uint64_t rdi);

/* Print a line. */
void say(const char *line);

/* Say why and end. */
_Noreturn void give_up(uint64_t exit_code, const char *line);

/* ---- swap.c ---- */

enum { PAGE_RING, PAGE_SECRET, PAGE_SWAP, PAGE_LINE, HEAP_PAGES };

/* Ask for the pages of the heap and take them; false if that failed or they were not zero. */
bool heap_init(void);
void *heap_page(unsigned number);

/* The OS can do without this page for a while. */
void heap_lend(unsigned number);

/* How often a page was sealed and came back. */
uint64_t heap_returns(unsigned number);

/* Seal @page and release it; false if it is not ours to give now. */
bool swap_out(uint64_t page);

enum swap_result { SWAP_DONE, SWAP_REFUSED, SWAP_CHANGED };

/* Take @page and unseal it. */
enum swap_result swap_in(uint64_t page);

/* Is @address in a page that is away? */
bool swap_is_away(uint64_t address);

/* ---- seal.c ---- */

#define SEAL_TAG        16

bool random_get(uint64_t *value);
bool seal_init(void);

/* Encrypt a page; each version of each page is sealed once at most. */
void seal(uint8_t *out, uint8_t tag[SEAL_TAG], const uint8_t *in, uint64_t page,
          uint64_t version);
bool unseal(uint8_t *out, const uint8_t tag[SEAL_TAG], const uint8_t *in,
            uint64_t page, uint64_t version);

/* SHA-256 of @label followed by @text. */
void digest(uint8_t out[32], const char *label, const char *text);

/* ---- person.c ---- */

/* What the person types until Enter, by trusted input; ends the OS if there is none. */
void read_passphrase(struct keys_line *line);

/* Ask on the LCD, hear the answer, and say what it was. */
void ask_to_pay(void);

/* ---- idle.S ---- */
bool idle(const uint64_t secret[8], bool once);

#endif
