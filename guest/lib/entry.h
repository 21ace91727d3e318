/* SPDX-License-Identifier: MIT-0 */
/* What entry.S gives a program in a context, and what it asks of it. */
#ifndef GUEST_ENTRY_H
#define GUEST_ENTRY_H

#include <stdint.h>
#include <appsheath/abi.h>

/* Where a call-out comes back: the stub's last jump asks for this address. */
extern const uint8_t call_return[];

/* The first address (E2). */
extern const uint8_t entry[];

/* For each depth, where its call-out waits on its stack; 0 if it has none. */
extern uint64_t calls[AS_FRAMES];

/**
 * call_out - leave for @target in ordinary memory (X3)
 *
 * Returns when someone asks for call_return at this depth.  All registers are
 * flushed to zero on the way, so arguments and answer go through memory.
 */
void call_out(uint64_t target);

/* Leave for @target in ordinary memory for good. */
_Noreturn void leave(uint64_t target);

/**
 * started - the program's own part of a START, on the stack of @depth
 * @rdi: what the 'visor had there: not to be believed
 * @rpc: the requested program counter: only a request
 */
_Noreturn void started(uint64_t rdi, uint64_t rpc, uint64_t depth);

#endif
