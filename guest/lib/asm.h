/* SPDX-License-Identifier: MIT-0 */
/* For assembly. */
#ifndef APPSHEATH_GUEST_ASM_H
#define APPSHEATH_GUEST_ASM_H

#include <appsheath/abi.h>

/*
 * image_header - the measured header of an image, at the start of page 0
 * @level: privilege level, 0 or 3
 * @cr4: bits that must be on
 * @link_base: 0: anywhere
 *
 * In section .header; sizes are the linker script's: image_bytes,
 * memory_bytes, text_bytes.
 */
        .macro  image_header level:req, cr4:req, link_base=0
        .pushsection .header, "a"
header:
        .org    header + AS_IMG_MAGIC_OFF
        .quad   AS_IMG_MAGIC
        .org    header + AS_IMG_VERSION
        .long   AS_ABI_VERSION
        .org    header + AS_IMG_IMAGE_BYTES
        .quad   image_bytes
        .org    header + AS_IMG_MEMORY_BYTES
        .quad   memory_bytes
        .org    header + AS_IMG_TEXT_BYTES
        .quad   text_bytes
        .org    header + AS_IMG_LINK_BASE
        .quad   \link_base
        .org    header + AS_IMG_LEVEL
        .long   \level
        .org    header + AS_IMG_XCR0
        .quad   AS_XCR0_KNOWN
        .org    header + AS_IMG_CR4
        .quad   \cr4
        .org    header + AS_PAGE_SIZE
        .popsection
        .endm

/* What a C function finds as it was when a call returns, but RSP */
        .macro  push_callee
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        .endm
        .macro  pop_callee
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbp
        pop     %rbx
        .endm

#endif
