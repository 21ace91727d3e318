/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vCPU for qtests: a few instructions of a 'visor, and a context's program
 * that stores to one address a visit, its own port above all.  With it a
 * qtest has offers (P5), and so channels.
 */
#ifndef TESTS_QTEST_APPSHEATH_CPU_H
#define TESTS_QTEST_APPSHEATH_CPU_H

#include "appsheath-lib.h"

/* In the guest's memory */
#define CPU_TABLES  0x500000ull     /* PML4, two PDPTs, PD, PT */
#define CPU_CODE    0x506000ull     /* the 'visor */
#define CPU_LOOP    (CPU_CODE + 0x08)
#define CPU_BACK    (CPU_CODE + 0x34)
#define CPU_GDT     0x506100ull
#define CPU_IDTR    0x506120ull
#define CPU_GO      0x506200ull     /* where to jump to, 0: nowhere; then */
#define CPU_ADDRESS 0x506208ull     /* ... the program stores */
#define CPU_VALUE   0x506210ull     /* ... this */
#define CPU_RESULT  0x506218ull     /* ... and tells the port's RESULT */
#define CPU_AWAY    0x506220ull     /* not back yet */
#define CPU_IDT     0x507000ull     /* any exception: back as well */
#define CPU_STACK   0x509000ull

/* The end of the ROM: from reset to CPU_CODE in 64-bit mode */
static const uint8_t cpu_rom[256] = {
    0xfa,                                       /* cli */
    0x66, 0xb8, 0x20, 0, 0, 0, 0x0f, 0x22, 0xe0,            /* cr4 = PAE */
    0x66, 0xb8, 0, 0, 0x50, 0, 0x0f, 0x22, 0xd8,            /* cr3 */
    0x66, 0xb9, 0x80, 0, 0, 0xc0, 0x66, 0x31, 0xd2,         /* EFER = LME */
    0x66, 0xb8, 0, 1, 0, 0, 0x0f, 0x30,
    0x2e, 0x66, 0x0f, 0x01, 0x16, 0x3c, 0xff,   /* lgdt cs:0xff3c */
    0x66, 0xb8, 0x21, 0, 0, 0x80, 0x0f, 0x22, 0xc0,         /* cr0 = PE, NE, PG */
    0x66, 0xea, 0, 0x60, 0x50, 0, 8, 0,         /* jmp 8:CPU_CODE */
    15, 0, 0, 0x61, 0x50, 0,                    /* 0xff3c: GDT of 2 entries */
    [0xf0] = 0xe9, 0x0d, 0xff,                  /* reset: jmp 0xff00 */
};

static inline uint8_t *emit(uint8_t *at, const char *code, size_t n,
                            uint64_t address)
{
    memcpy(at, code, n);
    as_store64(at + n, address);
    return at + n + 8;
}
#define EMIT(at, code, address) emit(at, code, sizeof(code) - 1, address)
#define LOAD_RAX    "\x48\xa1"      /* mov rax, [address] */
#define STORE_RAX   "\x48\xa3"      /* mov [address], rax */
#define SET_RAX     "\x48\xb8"      /* mov rax, address */

/* The 'visor waits for a place to jump to; what comes back says so */
static inline void cpu_visor(Sheath *s)
{
    uint8_t code[0x42], *at = code;

    memcpy(at, "\x0f\x01\x1c\x25", 4);                     /* lidt */
    as_store32(at + 4, CPU_IDTR);
    at = EMIT(at + 8, "\x48\xbc", CPU_STACK);              /* mov rsp */
    at = EMIT(at, "\xf3\x90" LOAD_RAX, CPU_GO);             /* pause */
    memcpy(at, "\x48\x85\xc0\x74\xe5\x48\x89\xc3\x31\xc0", 10);
    at = EMIT(at + 10, STORE_RAX, CPU_GO);  /* ^ 0: loop; rbx = rax, rax = 0 */
    memcpy(at, "\xff\xe3\x31\xc0", 4);      /* jmp rbx; CPU_BACK: */
    at = EMIT(at + 4, STORE_RAX, CPU_AWAY);                 /* rax = 0 */
    memcpy(at, "\xeb\xc6", 2);                              /* CPU_LOOP */
    g_assert_true(at + 2 == code + sizeof(code));
    qtest_memwrite(s->qts, CPU_CODE, code, sizeof(code));
}

static inline void cpu_descriptors(Sheath *s)
{
    uint64_t gate = CPU_BACK >> 16 << 48 | 0x8e00ull << 32 | 8 << 16 |
                    (CPU_BACK & 0xffff);

    qtest_writeq(s->qts, CPU_GDT + 8, 0x00209b0000000000ull);
    qtest_writeq(s->qts, CPU_IDTR, CPU_IDT << 16 | 0x1ff);
    for (unsigned i = 0; i < 32; i++) {
        qtest_writeq(s->qts, CPU_IDT + i * 16, gate);
    }
}

/* The program: no more than one page, and no data */
static inline Image cpu_image(unsigned seed)
{
    Image im = image_new(seed);
    uint8_t *at = im.bytes + AS_TEXT_OFF;

    at = EMIT(at, LOAD_RAX, CPU_ADDRESS);
    at = EMIT(at, "\x48\x89\xc3" LOAD_RAX, CPU_VALUE);      /* mov rbx, rax */
    at = EMIT(at, "\x48\x89\x03" LOAD_RAX, WINDOW + AS_PORT_RESULT);
    at = EMIT(at, STORE_RAX, CPU_RESULT);       /* ^ mov [rbx], rax */
    at = EMIT(at, SET_RAX, CPU_BACK);
    memcpy(at, "\xff\xe0", 2);                              /* jmp rax */
    return im;
}

static inline void cpu_table(Sheath *s, unsigned table, unsigned entry,
                             uint64_t value)
{
    qtest_writeq(s->qts, CPU_TABLES + table * PAGE + entry * 8, value);
}

/*
 * The first GiB and the ROM lie where they are; the image at @base, within the
 * window's first GiB, where it is loaded.
 */
static inline void cpu_map(Sheath *s, const Image *im, uint64_t base)
{
    enum { POINTER = 3, HUGE = 0x83 };

    cpu_table(s, 0, 0, (CPU_TABLES + PAGE) | POINTER);
    cpu_table(s, 1, 0, HUGE);
    cpu_table(s, 1, 3, 3 * GiB | HUGE);
    cpu_table(s, 0, WINDOW >> 39, (CPU_TABLES + 2 * PAGE) | POINTER);
    cpu_table(s, 2, 0, (CPU_TABLES + 3 * PAGE) | POINTER);
    cpu_table(s, 3, (base - WINDOW) >> 21, (CPU_TABLES + 4 * PAGE) | POINTER);
    for (unsigned i = 0; i < IMAGE_PAGES; i++) {
        cpu_table(s, 4, (base >> 12 & 511) + i, im->pages[i] | POINTER);
    }
}

/* A machine whose vCPU runs the 'visor; has the key for @im; a guard is off */
static inline Sheath *cpu_start_without(const char *guard, const Image *im,
                                        const char *machine, const char *args)
{
    g_autofree uint8_t *rom = g_malloc0(64 * KiB);
    g_autoptr(KeyFile) bios = NULL;
    g_autoptr(KeyFile) key = key_for(im);
    g_autofree char *all = NULL, *weak = NULL;
    Sheath *s;

    memcpy(rom + 64 * KiB - sizeof(cpu_rom), cpu_rom, sizeof(cpu_rom));
    bios = temp_file(rom, 64 * KiB);
    all = g_strdup_printf("-S -accel tcg -cpu max -bios %s "
                          "-device appsheath-key,id=key,file=%s %s",
                          bios, key, args);
    weak = g_strdup_printf(",x-unsafe=on,x-weaken=%s%s", guard, machine);
    s = sheath_new_ram(128, g_str_equal(guard, "A2.share"), weak, all);
    cpu_descriptors(s);
    cpu_visor(s);
    cpu_map(s, im, BASE);
    qtest_qmp_assert_success(s->qts, "{ 'execute': 'cont' }");
    return s;
}

/* The guard that is off lets the test see RAM as it is */
static inline Sheath *cpu_start(const Image *im, const char *machine,
                                const char *args)
{
    return cpu_start_without("A2.share", im, machine, args);
}

/* Off to there, a context or not; it need not come back */
static inline void cpu_go(Sheath *s, uint64_t where)
{
    qtest_writeq(s->qts, CPU_AWAY, 1);
    qtest_writeq(s->qts, CPU_GO, where);
}

/* The program of the context at @base stores once; returns the port's RESULT */
static inline uint64_t cpu_store(Sheath *s, uint64_t base, uint64_t address,
                                 uint64_t value)
{
    int64_t until = soon();

    qtest_writeq(s->qts, CPU_ADDRESS, address);
    qtest_writeq(s->qts, CPU_VALUE, value);
    qtest_writeq(s->qts, CPU_RESULT, UINT64_MAX);
    cpu_go(s, base + AS_TEXT_OFF);
    while (qtest_readq(s->qts, CPU_AWAY)) {
        wait_on(until);
    }
    return qtest_readq(s->qts, CPU_RESULT);
}

static inline uint64_t cpu_offer(Sheath *s, uint64_t base, uint64_t va,
                                 unsigned device, unsigned direction,
                                 unsigned pages)
{
    return cpu_store(s, base, WINDOW + AS_PORT_OFFER,
                     va | device << 8 | direction << 4 | (pages - 1));
}

#endif
