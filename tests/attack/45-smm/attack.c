/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attack: SMM enters a context
 * Row: 45
 * Rule: E5
 * Guard: E5.mode
 * Record: E5
 * Source: SMM as ring -2 (The Memory Sinkhole, 2015); SGX refuses EENTER in SMM
 * Mechanism: the 'visor opens SMRAM, puts an SMI handler of its own there that goes to 64-bit mode, and jumps into the window.
 * Seen: #GP(0) in SMM; nothing has run.
 * Limits: level 0.  Compatibility mode and 32-bit code do not reach the window: it lies above 4 GiB (W1).
 */
#include "smram.h"

/* At SMM_ENTRY, in 16 bits; GDTR and IDTR are still the kernel's */
asm("        .section .rodata\n"
    "        .code16\n"
    "smm_begin:\n"
    "        mov     %cs:0x8000 + smm_cr4 - smm_begin, %eax\n"
    "        mov     %eax, %cr4\n"
    "        mov     %cs:0x8000 + smm_cr3 - smm_begin, %eax\n"
    "        mov     %eax, %cr3\n"
    "        mov     $0xc0000080, %ecx\n"
    "        mov     $0x901, %eax\n"                /* NXE LME SCE */
    "        xor     %edx, %edx\n"
    "        wrmsr\n"
    "        mov     $0x80010033, %eax\n"
    "        mov     %eax, %cr0\n"
    "        ljmpl   $0x08, $smm_long\n"
    "        .balign 4\n"
    "smm_cr3: .long  0\n"
    "smm_cr4: .long  0\n"
    "smm_end:\n"
    "        .previous\n"
    "        .code64\n"
    "smm_long:\n"
    "        mov     $0x10, %eax\n"
    "        mov     %eax, %ds\n"
    "        mov     %eax, %es\n"
    "        mov     %eax, %ss\n"
    "        mov     $smm_stack + 0x4000, %rsp\n"
    "        call    in_smm\n"
    "        rsm\n"
    /* attempt(): RDI where to, RSI the launch */
    "jump_launched:\n"
    "        mov     %rdi, %r11\n"
    "        mov     %rsi, %rax\n"
    "        mov     8 * 2(%rax), %rdx\n"
    "        mov     8 * 3(%rax), %rbx\n"
    "        mov     8 * 6(%rax), %rsi\n"
    "        mov     8 * 7(%rax), %rdi\n"
    "        jmp     *%r11\n");
extern uint8_t smm_begin[], smm_end[], smm_cr3[], smm_cr4[];
extern access jump_launched;
void in_smm(void);
uint8_t smm_stack[0x4000] __attribute__((aligned(64)));
static struct ctx *victim;
static bool handled, faulted;

void in_smm(void)
{
    handled = true;
    faulted = attempt(this_cpu(), jump_launched, victim->launch.rip, (uint64_t)&victim->launch);
}

static void put_handler(void)
{
    uint64_t cr3;

    asm volatile("mov %%cr3, %0" : "=r"(cr3));
    memcpy(host(SMM_ENTRY), smm_begin, smm_end - smm_begin);
    *(uint32_t *)host(SMM_ENTRY + (smm_cr3 - smm_begin)) = cr3;
    *(uint32_t *)host(SMM_ENTRY + (smm_cr4 - smm_begin)) = good_cr4;
}

static void enter_from_smm(struct ctx *c)
{
    static uint8_t firmware[PAGE_SIZE];

    victim = c;
    handled = false;
    prepare(c);
    prepare_start(c, ACT_nothing, c->base + AS_TEXT_OFF);
    smram_open(true);
    memcpy(firmware, host(SMM_ENTRY), sizeof(firmware));
    put_handler();
    smram_open(false);
    outb(SMI_COMMAND, 0);
    smram_open(true);
    memcpy(host(SMM_ENTRY), firmware, sizeof(firmware));
    smram_open(false);
    if (!handled) {
        give_up("the SMI handler did not run");
    }
    if (c->area[0]->dump.mark == DUMPED) {
        learnt("the program ran in SMM");
        return;
    }
    want("it faulted", faulted, true);
    want("vector", seen()->vector, 13);
    want("RIP", seen()->st.rip, c->launch.rip);
    want("RBX", seen()->st.gpr[RBX], c->launch.gpr[RBX]);
    prepare(c);
    start(c, ACT_nothing);
    want_unharmed(c);
}

const struct test ATTACK[] = {
    { NAME "an SMI handler", enter_from_smm, LEVEL0 },
    { NULL, NULL, 0 },
};
