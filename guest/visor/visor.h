/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 'visor: an untrusted manager of the machine.  It boots on the bare
 * metal, runs the OS in a VM (AMD SVM, nested paging) and asks the trusted
 * DMA controller for what it cannot do itself.  Told to, it turns hostile and
 * tries what attack.c has.
 *
 *   boot.S entry.S   into 64-bit mode; traps, world switch, probes
 *   pvh.c            what QEMU hands over at boot
 *   console.c        serial port and VGA text
 *   mem.c            pages and page tables (its own, the guest's, nested)
 *   trap.c           exceptions, interrupts, local APIC timer
 *   pci.c tdma.c     finding and driving the trusted DMA controller
 *   svm.c            VMCB and VMRUN
 *   vm.c             the OS's VM: loading, hypercalls, swapping, timer
 *   keys.c           PS/2 keys, and feeding them to an OS in an open context
 *   attack.c         hostility
 */
#ifndef VISOR_H
#define VISOR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "appsheath/abi.h"
#include "lib/hyper.h"
#include "lib/mem.h"

#define PAGE_SIZE       4096ul
#define PAGE_MASK       (~(PAGE_SIZE - 1))
#define MIB             (1ul << 20)
#define GIB             (1ul << 30)
#define COUNT(a)        (sizeof(a) / sizeof((a)[0]))

/* Physical memory is mapped one to one up to 4 GiB */
static inline void *host(uint64_t phys)
{
    return (void *)phys;
}

static inline void outb(uint16_t port, uint8_t v)
{
    asm volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t v;
    asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline void outl(uint16_t port, uint32_t v)
{
    asm volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint32_t inl(uint16_t port)
{
    uint32_t v;
    asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t lo, hi;
    asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return lo | (uint64_t)hi << 32;
}

static inline void wrmsr(uint32_t msr, uint64_t v)
{
    asm volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

static inline uint64_t read_cr2(void)
{
    uint64_t cr2;
    asm volatile("mov %%cr2, %0" : "=r"(cr2));
    return cr2;
}

static inline void cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    asm volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                 : "a"(leaf), "c"(sub));
}

/* ---- main.c ---- */

/* Words of the command line (-append) */
struct options {
    bool open;          /* accept an open context (L5) */
    bool attack;        /* turn hostile when the OS is idle */
    bool kill;          /* DESTROY the OS at the end, read its memory back */
    bool exit;          /* leave QEMU by isa-debug-exit at the end */
    bool wait;          /* no key: wait for one */
    bool desk;          /* take commands; an open context if there is no trusted one */
    bool stale;         /* give an old sealed page back */
    bool selftest;      /* only try VMRUN on a guest in ordinary memory */
};
extern struct options options;

/* Exit values, by isa-debug-exit: QEMU's status is twice this plus one */
#define END_OK          16      /* 33 */
#define END_FAILED      17      /* 35 */
_Noreturn void end(unsigned value);

/* ---- pvh.c ---- */

struct start_info;
struct module {
    uint64_t start, bytes, cmdline, reserved;
};
void pvh_check(const struct start_info *info);
const char *pvh_words(const struct start_info *info);           /* -append, "" if none */
const struct module *pvh_image(const struct start_info *info);  /* -initrd, NULL if none */
void pvh_find_memory(const struct start_info *info);            /* calls mem_init() */

/* ---- console.c ---- */

/* Says why, and ends */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

void console_init(void);
/* A line of the 'visor's own: "visor: ...", without the newline */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A line of attack.c: "attack: ..." */
void say_attack(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Text of the OS, any bytes: each line gets the prefix "os: " */
void say_os(const uint8_t *text, uint64_t len);
/* snprintf with %s %c %d %u %x, l, and a width with 0; returns bytes written */
unsigned format(char *buf, unsigned size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
unsigned vformat(char *buf, unsigned size, const char *format, va_list ap);
bool all_zero(const void *from, uint64_t len);

/* ---- mem.c ---- */

void mem_init(uint64_t from, uint64_t to);
uint64_t mem_left(void);
uint64_t page_alloc(void);                              /* zeroed */
uint64_t pages_alloc(uint64_t count, uint64_t align);   /* contiguous, zeroed */
void page_free(uint64_t page);

#define PTE_P           1ul
#define PTE_W           2ul
#define PTE_U           4ul
#define PTE_PS          0x80ul
#define PTE_ADDR        0x000ffffffffff000ul

/**
 * struct space - a tree of page tables
 * @root: its top table, as the 'visor reaches it
 * @offset: what the 'visor's address of a table is above the one in an entry:
 *          0, or where guest-physical 0 is
 * @link: bits of entries that point to tables
 * @table: gives a zeroed page for a table
 */
struct space {
    uint64_t root;
    uint64_t offset;
    uint64_t link;
    uint64_t (*table)(void);
};

extern struct space host_space;
void map(struct space *s, uint64_t va, uint64_t pa, uint64_t flags);
void map_2m(struct space *s, uint64_t va, uint64_t pa, uint64_t flags);
/* The top-level entry of va, to point it anywhere */
uint64_t *top_entry(struct space *s, uint64_t va);
void flush_tlb(void);

/* ---- trap.c ---- */

#define TIMER_HZ        100
#define VECTOR_TIMER    0x20
#define VECTOR_MSIX     0x30    /* and the next AS_IRQ_COUNT - 1 */
#define VECTOR_SPURIOUS 0x3f

extern volatile uint64_t ticks;                 /* of the 'visor's timer */
extern volatile uint64_t irqs[AS_IRQ_COUNT];    /* of the trusted DMA controller */
void trap_init(void);
void wait_for_interrupt(void);

/**
 * struct probe - what became of an access that was expected to fault
 * @faulted: it did
 * @vector: of the exception
 * @error: its error code
 * @address: CR2
 * @value: what was read, PROBE_NOTHING if nothing was
 */
struct probe {
    bool faulted;
    uint32_t vector;
    uint64_t error;
    uint64_t address;
    uint64_t value;
};
#define PROBE_NOTHING   0x6e6f7468696e6721ul
struct probe probe_read(uint64_t address);
struct probe probe_write(uint64_t address, uint64_t value);
struct probe probe_fxsave(uint64_t address);
struct regs;
struct probe probe_vmrun(uint64_t vmcb, struct regs *regs);

/* ---- pci.c ---- */

struct pci {
    uint8_t bus, slot, function;
};
bool pci_find(uint16_t vendor, uint16_t device, struct pci *at);
uint32_t pci_read(struct pci at, unsigned offset);
void pci_write(struct pci at, unsigned offset, uint32_t v);
uint64_t pci_bar(struct pci at, unsigned bar);          /* mapped; 0: has none */
void pci_enable(struct pci at);                         /* memory and bus master */
bool pci_msix(struct pci at, unsigned vectors, uint8_t first);

/* ---- tdma.c ---- */

struct denial {
    uint64_t page;
    uint64_t info;
};

struct note {
    uint32_t what;
    uint64_t psp, va, page;
};

bool tdma_init(void);
uint32_t tdma_do(struct as_request *req);       /* fills in status and result */
uint32_t tdma_alloc(uint64_t psp, uint64_t va, uint64_t *list, uint32_t count);
uint32_t tdma_destroy(uint64_t psp);
uint32_t tdma_channel(uint32_t op, uint64_t psp, unsigned device,
                      unsigned direction, uint64_t va, uint64_t len);
uint32_t tdma_contexts(void);                   /* how many live */
uint64_t tdma_window_base(void);
uint64_t tdma_window_size(void);
uint64_t tdma_denials(void);
bool tdma_next_denial(struct denial *d);
bool tdma_next_note(struct note *n);
const char *status_text(uint32_t status);

/* ---- svm.c ---- */

/* What VMRUN leaves alone */
struct regs {
    uint64_t rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
};

struct __attribute__((packed)) vmcb_seg {
    uint16_t selector, attrib;
    uint32_t limit;
    uint64_t base;
};

struct __attribute__((packed)) vmcb {
    uint16_t cr_read, cr_write, dr_read, dr_write;
    uint32_t exceptions;
    uint64_t intercept;
    uint8_t reserved0[44];
    uint64_t iopm, msrpm, tsc_offset;
    uint32_t asid;
    uint8_t tlb_control, reserved1[3];
    uint32_t int_control, int_vector, int_state, reserved2;
    uint64_t exit_code, exit_info_1, exit_info_2;
    uint32_t exit_int_info, exit_int_error;
    uint64_t nested_control;
    uint8_t reserved3[16];
    uint32_t event_inject, event_error;
    uint64_t nested_cr3, lbr_control;
    uint8_t reserved4[832];
    struct vmcb_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
    uint8_t reserved5[43], cpl;
    uint32_t reserved6;
    uint64_t efer;
    uint8_t reserved7[112];
    uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
    uint8_t reserved8[88];
    uint64_t rsp;
    uint8_t reserved9[24];
    uint64_t rax, star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip, cr2;
    uint8_t reserved10[32];
    uint64_t pat;
    uint8_t reserved11[PAGE_SIZE - 0x670];
};
_Static_assert(offsetof(struct vmcb, exit_code) == 0x70, "VMCB control");
_Static_assert(offsetof(struct vmcb, nested_cr3) == 0xb0, "VMCB control");
_Static_assert(offsetof(struct vmcb, rip) == 0x578, "VMCB save");
_Static_assert(offsetof(struct vmcb, pat) == 0x668, "VMCB save");
_Static_assert(sizeof(struct vmcb) == PAGE_SIZE, "VMCB");

#define VMEXIT_EXCEPTION  0x040   /* + vector */
#define VMEXIT_INTR       0x060
#define VMEXIT_NMI        0x061
#define VMEXIT_HLT        0x078
#define VMEXIT_IOIO       0x07b
#define VMEXIT_MSR        0x07c
#define VMEXIT_SHUTDOWN   0x07f
#define VMEXIT_VMMCALL    0x081
#define VMEXIT_NPF        0x400
#define VMEXIT_INVALID    0xfffffffffffffffful

#define RFLAGS_1        0x002
#define RFLAGS_IF       0x200

void svm_init(void);
struct vmcb *svm_vmcb(uint64_t nested_cr3, uint64_t cr3);
extern uint8_t svm_ymm[16 * 32];        /* the vector registers after the last exit */
void svm_run(uint64_t vmcb, struct regs *regs);
void svm_inject(struct vmcb *vmcb, uint8_t vector);
/* A guest that is no trusted one, for trying things out */
struct vmcb *svm_test_guest(void);
bool svm_selftest(void);

/* ---- vm.c ---- */

#define ORDINARY_BYTES  (16 * MIB)
#define OWNED_MAX       4096
#define SAVED_MAX       AS_FRAMES

/* A page of the context, as far as the 'visor knows */
struct owned {
    uint64_t va;
    uint64_t page;
    bool live;          /* false: released, its VA may come back */
};

/* Where the OS was when the 'visor STARTed it for something else */
struct saved {
    struct regs regs;
    uint64_t rax, rsp, rip, rflags;
};

struct vm {
    struct vmcb *vmcb;
    struct regs regs;
    uint64_t ordinary;          /* physical address of guest-physical 0 */
    struct boot_info *info;
    uint64_t base;
    uint64_t image_pages, text_bytes;
    bool open;                  /* an open context (L5) */
    bool over;                  /* the OS ended or was killed */
    uint64_t exit_code;
    struct owned owned[OWNED_MAX];
    unsigned owned_count;
    struct saved saved[SAVED_MAX];
    unsigned saved_count;
    uint64_t timer_seen;        /* ticks passed on to the guest */
    uint64_t secret_va;         /* PHASE_IDLE: what an attacker wants */
    uint64_t idle_since;        /* in ticks, 0: not idle */
    uint64_t refusals;          /* STARTs that the OS refused, */
    uint64_t refused_at;        /* the last of them for this address */
    uint64_t exits_seen;        /* #VMEXITs out of its code, */
    uint64_t leaks;             /* those that showed more than constants */
};
extern struct vm vm;

void vm_load(uint64_t image, uint64_t bytes);
void vm_run(void);
void vm_step(void);             /* one VMRUN and what its exit asks for */
bool vm_at_resume_point(void);
bool vm_start(uint64_t rip, uint64_t rdi);      /* false: too deep */
uint64_t vm_page_of(uint64_t va);               /* physical page, 0: none */
/* A page that the OS had released, and now "touched" or whatever it did */
void vm_give_back(uint64_t va, const char *what);
void vm_destroy(void);

/* ---- keys.c ---- */

extern uint64_t keys_seen;              /* bytes of the PS/2 controller */
void keys_open(uint64_t va, uint64_t len);
void keys_close(void);
void keys_poll(void);

/* ---- attack.c ---- */

void attack_keys_begin(void);
void attack_keys_end(void);
void attack_question(void);     /* the OS asks a person something on the LCD */
void attack_question_end(void); /* it does no more */
void attack_stopped(void);      /* the OS has called out */
void attack_preempted(void);    /* the OS was preempted: its frame is on the PSP */
void attack_stale(uint64_t va); /* the OS has released this page, or has it back */
void attack_verdict(void);
void show_open_memory(void);

/* ---- desk.c ---- */

_Noreturn void desk_run(void);
extern unsigned attacks, contained;

#endif
