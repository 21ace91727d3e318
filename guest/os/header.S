/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "../lib/asm.h"

        image_header level=0, cr4=AS_CR4_KNOWN, link_base=psp

        .section .note.GNU-stack, "", @progbits
