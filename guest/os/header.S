/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The measured header, at the start of page 0; the linker script knows the sizes. */
#include <appsheath/abi.h>

        .section .header, "a"
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
        .quad   psp
        .org    header + AS_IMG_LEVEL
        .long   0
        .org    header + AS_IMG_XCR0
        .quad   AS_XCR0_KNOWN
        .org    header + AS_IMG_CR4
        .quad   AS_CR4_KNOWN
        .org    header + AS_PAGE_SIZE

        .section .note.GNU-stack, "", @progbits
