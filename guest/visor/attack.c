/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 'visor turned hostile.  Each try says what it really saw; one that got
 * through is called a BREACH.  Rules named in brackets are those that hardware
 * put into its denial log (A4).
 */
#include "visor.h"

#define ALIAS_VA        0x500000000000ul       /* linear addresses nobody uses */
#define WALK_VA         0x600000000000ul
#define GARBAGE         0x6b6361685f656854ul
#define FREE_VA         (vm.base + 64 * MIB)    /* window pages nobody has */
#define EDU_VENDOR      0x1234
#define EDU_DEVICE      0x11e8
#define EDU_REACH       (256 * MIB)
#define EDU_SOURCE      (0x80 / 8)
#define EDU_TARGET      (0x88 / 8)
#define EDU_COUNT       (0x90 / 8)
#define EDU_COMMAND     (0x98 / 8)
#define EDU_BUFFER      0x40000
#define EDU_START       1
#define EDU_TO_MEMORY   2
#define SEALED_OFFSET   0x4000
#define SEALED_BYTES    0x8000
#define FW_CFG_DMA      0x514
#define FW_CFG_ERROR    1
#define FW_CFG_READ_SIGNATURE 0x0a      /* select item 0 and read it */

unsigned attacks, contained;
static uint64_t denials_before;

/* ---- telling ---- */

static void drain_log(void)
{
    struct denial d;

    while (tdma_next_denial(&d)) {
    }
}

static void begin(void)
{
    drain_log();
    denials_before = tdma_denials();
}

static bool denied(void)
{
    return tdma_denials() > denials_before;
}

static const char *master_name(uint64_t info)
{
    uint16_t master = info >> AS_LOG_MASTER_SHIFT;

    return master == AS_MASTER_TDMA ? "the controller" :
           master == AS_MASTER_DEVICE ? "a device" : "a CPU";
}

/* " [A2: read by a CPU]", the first record since begin(), or nothing */
static void recorded(char *buf, unsigned size)
{
    static const char *const kinds[] = {
        "read", "write", "fetch", "walk", "entry", "port access"
    };
    struct denial d;

    buf[0] = 0;
    if (!tdma_next_denial(&d)) {
        return;
    }
    unsigned rule = d.info >> AS_LOG_RULE_SHIFT & 0xffff;
    unsigned kind = d.info >> AS_LOG_KIND_SHIFT & 15;
    format(buf, size, " [%c%u: %s by %s]", rule >> 8, rule & 0xff,
           kind < COUNT(kinds) ? kinds[kind] : "access", master_name(d.info));
    drain_log();
}

static void report(bool refused, const char *what, const char *f, ...)
    __attribute__((format(printf, 3, 4)));

static void report(bool refused, const char *what, const char *f, ...)
{
    char found[300], rule[80];
    va_list ap;

    va_start(ap, f);
    vformat(found, sizeof(found), f, ap);
    va_end(ap);
    recorded(rule, sizeof(rule));
    attacks++;
    contained += refused;
    say_attack("%s -> %s%s%s", what, found, rule, refused ? "" : " BREACH");
}

/* ---- memory, by the CPU (A2, A3) ---- */

static bool was_denied(struct probe p)
{
    return p.faulted && p.vector == 14 && p.error & AS_PF_DENIED &&
           p.value == PROBE_NOTHING;
}

static void report_probe(const char *what, struct probe p)
{
    bool refused = was_denied(p) && denied();

    if (p.faulted) {
        report(refused, what, "#PF, error code 0x%lx", p.error);
    } else {
        report(false, what, "no fault, 0x%lx", p.value);
    }
}

static struct probe probe_page(uint64_t page, bool write)
{
    return write ? probe_write(page, GARBAGE) : probe_read(page);
}

static void try_every_page(const char *what, bool write)
{
    unsigned pages = 0, refused = 0;
    struct probe p = { 0 };

    begin();
    for (unsigned i = 0; i < vm.owned_count; i++) {
        if (vm.owned[i].live) {
            p = probe_page(vm.owned[i].page, write);
            pages++;
            refused += was_denied(p);
        }
    }
    report(refused == pages && denied(), what, "%u of %u page faults, error code 0x%lx",
           refused, pages, p.error);
}

static void try_alias(void)
{
    begin();
    map(&host_space, ALIAS_VA, vm_page_of(vm.secret_va), PTE_P | PTE_W);
    report_probe("map its secret page at another address and read it",
                 probe_read(ALIAS_VA));
    begin();
    map(&host_space, vm.secret_va, vm_page_of(vm.secret_va), PTE_P | PTE_W);
    report_probe("read its secret page at its own window address",
                 probe_read(vm.secret_va));
}

static void try_fxsave(void)
{
    begin();
    report_probe("store my registers into its PSP with FXSAVE",
                 probe_fxsave(vm_page_of(vm.base)));
}

static void try_walk(void)
{
    struct probe p;

    begin();
    *top_entry(&host_space, WALK_VA) = vm_page_of(vm.secret_va) | PTE_P | PTE_W;
    flush_tlb();
    p = probe_read(WALK_VA);
    *top_entry(&host_space, WALK_VA) = 0;
    flush_tlb();
    report(p.faulted && !(p.error & 1) && denied(), "use its secret page as a page table",
           p.faulted ? "#PF, error code 0x%lx: nothing there" : "no fault, 0x%lx",
           p.faulted ? p.error : p.value);
}

/* ---- memory, by the CPU's virtualization (A2) ---- */

/* Until it exits by itself: an interrupt of mine (a timer, a notice of keys) would come before its first step */
static void run_test_guest(struct vmcb *v)
{
    struct regs regs = { 0 };

    do {
        svm_run((uint64_t)v, &regs);
    } while (v->exit_code == VMEXIT_INTR);
}

static void try_nested_walk(void)
{
    struct vmcb *v = svm_test_guest();

    begin();
    v->nested_cr3 = vm_page_of(vm.secret_va);
    run_test_guest(v);
    report(v->exit_code == VMEXIT_NPF && denied(), "use its secret page as a nested page table",
           "#VMEXIT 0x%lx: nothing there", v->exit_code);
}

static void try_vmcb(void)
{
    struct regs regs = { 0 };
    struct probe run, p;

    begin();
    run = probe_vmrun(vm_page_of(vm.secret_va), &regs);
    p = probe_read(vm_page_of(vm.secret_va) + offsetof(struct vmcb, exit_code));
    report(was_denied(p) && denied(), "run its secret page as a VMCB",
           run.faulted ? "fault, vector %u" : "nothing ran that I could see", run.vector);
}

/* The same guest exits at its RDMSR while the bitmap is one of the 'visor's own */
static void try_msr_bitmap(void)
{
    struct vmcb *v = svm_test_guest();
    uint64_t own_bitmap = v->msrpm;

    run_test_guest(v);
    bool works = v->exit_code == VMEXIT_MSR;
    begin();
    v->msrpm = vm_page_of(vm.secret_va);
    run_test_guest(v);
    report(works && v->exit_code != VMEXIT_MSR && denied(),
           "use its secret page as an MSR bitmap", "no bit of it was seen (#VMEXIT 0x%lx)",
           v->exit_code);
    v->msrpm = own_bitmap;
}

/* ---- registers (X1, X2) ---- */

static void try_registers(void)
{
    begin();
    report(vm.exits_seen && !vm.leaks, "look at all registers after each #VMEXIT",
           "%lu exits out of its code, %lu of them with anything but constants",
           vm.exits_seen, vm.leaks);
}

/* ---- entering (E2) ---- */

static bool refused_entry(uint64_t to)
{
    uint64_t refusals = vm.refusals;
    unsigned depth = vm.saved_count;

    if (!vm_start(to, GARBAGE)) {
        return false;
    }
    for (int i = 0; i < 1000 && vm.saved_count > depth && !vm.over; i++) {
        vm_step();
    }
    return vm.saved_count == depth && vm.refusals == refusals + 1 && vm.refused_at == to;
}

static void try_jumps(void)
{
    const uint64_t to[] = {
        vm.base, vm.base + AS_TEXT_OFF + 1, vm.base + AS_TEXT_OFF + 0x777,
        vm.base + vm.text_bytes, vm.secret_va + 64,
        vm.base + AS_RESUME_OFF + AS_RESUME_STEP * (AS_FRAMES - 1),
    };
    unsigned refused = 0;

    begin();
    for (unsigned i = 0; i < COUNT(to); i++) {
        refused += refused_entry(to[i]);
    }
    report(refused == COUNT(to), "jump into the middle of its code and data",
           "%u of %u jumps landed at its first address, and the OS refused them", refused,
           (unsigned)COUNT(to));
}

/* ---- devices (A2) ---- */

static volatile uint64_t *edu;

static void edu_dma(uint64_t source, uint64_t target, uint64_t command)
{
    uint64_t deadline = ticks + 5 * TIMER_HZ;

    edu[EDU_SOURCE] = source;
    edu[EDU_TARGET] = target;
    edu[EDU_COUNT] = PAGE_SIZE;
    edu[EDU_COMMAND] = command | EDU_START;
    while (edu[EDU_COMMAND] & EDU_START && ticks < deadline) {
        wait_for_interrupt();
    }
}

static bool same(const uint64_t *page, uint64_t word)
{
    for (unsigned i = 0; i < PAGE_SIZE / 8; i++) {
        if (page[i] != word) {
            return false;
        }
    }
    return true;
}

/* Through the device and back: first ordinary memory, so that we know that it works */
static void try_dma_read(uint64_t *mine)
{
    for (unsigned i = 0; i < PAGE_SIZE / 8; i++) {
        mine[i] = GARBAGE;
    }
    edu_dma((uint64_t)mine, EDU_BUFFER, 0);
    memset(mine, 0, PAGE_SIZE);
    edu_dma(EDU_BUFFER, (uint64_t)mine, EDU_TO_MEMORY);
    bool works = same(mine, GARBAGE);
    begin();
    edu_dma(vm_page_of(vm.secret_va), EDU_BUFFER, 0);
    bool was = denied();
    edu_dma(EDU_BUFFER, (uint64_t)mine, EDU_TO_MEMORY);
    bool nothing = same(mine, GARBAGE) || same(mine, 0);
    report(works && was && nothing, "let a PCI device read its secret page",
           works ? "%s" : "%s, but the device copies nothing at all",
           nothing ? "it got nothing" : "it got something");
}

static void try_dma_write(void)
{
    begin();
    edu_dma(EDU_BUFFER, vm_page_of(vm.secret_va), EDU_TO_MEMORY);
    report(denied(), "let a PCI device write to its secret page", "dropped");
}

static void try_edu(void)
{
    struct pci at;

    if (!pci_find(EDU_VENDOR, EDU_DEVICE, &at)) {
        say_attack("no PCI device to misuse: start QEMU with -device edu");
        return;
    }
    pci_enable(at);
    edu = host(pci_bar(at, 0));
    uint64_t mine = page_alloc();
    if (!edu || mine >= EDU_REACH || vm_page_of(vm.secret_va) >= EDU_REACH) {
        say_attack("the edu device does not reach this memory");
        return;
    }
    try_dma_read(host(mine));
    try_dma_write();
}

static uint32_t swap32(uint32_t v)
{
    return __builtin_bswap32(v);
}

static void fw_cfg_dma(uint64_t block)
{
    outl(FW_CFG_DMA, swap32(block >> 32));
    outl(FW_CFG_DMA + 4, swap32(block));
}

static void try_fw_cfg(void)
{
    struct { uint32_t control, length; uint64_t address; } *block = host(page_alloc());
    volatile uint32_t *control = &block->control;

    begin();
    block->control = swap32(FW_CFG_READ_SIGNATURE);
    block->length = swap32(4);
    block->address = __builtin_bswap64(vm_page_of(vm.secret_va));
    fw_cfg_dma((uint64_t)block);
    report(denied(), "let fw_cfg write to its secret page", "%s",
           *control == swap32(FW_CFG_ERROR) ? "the device reports an error" : "dropped");
    begin();
    fw_cfg_dma(vm_page_of(vm.secret_va));
    report(denied(), "let fw_cfg take its commands from its secret page", "nothing happened");
}

/* ---- the controller as a deputy (D1, D2, D4, P5) ---- */

static void report_status(const char *what, uint32_t status, uint32_t wanted)
{
    report(status == wanted, what, "%s (status %u)", status_text(status), status);
}

static void try_open(void)
{
    begin();
    report_status("open a channel to a page it did not offer",
                  tdma_channel(AS_OP_OPEN, vm.base, AS_DEV_KEYBOARD, AS_DIR_IN,
                               vm.secret_va, PAGE_SIZE), AS_E_OFFER);
    begin();
    report_status("open a channel to a window page nobody has",
                  tdma_channel(AS_OP_OPEN, vm.base, AS_DEV_KEYBOARD, AS_DIR_IN, FREE_VA,
                               PAGE_SIZE), AS_E_OFFER);
}

static void try_alloc(void)
{
    uint64_t *list = host(page_alloc());

    list[0] = page_alloc();
    begin();
    report_status("slip a fresh page over its secret page",
                  tdma_alloc(vm.base, vm.secret_va, list, 1), AS_E_RANGE);
    list[0] = vm_page_of(vm.secret_va);
    begin();
    report_status("hand its secret page out a second time",
                  tdma_alloc(vm.base, FREE_VA, list, 1), AS_E_PROTECTED);
}

static void try_create(void)
{
    uint64_t *list = host(page_alloc());
    struct as_request req = {
        .op = AS_OP_CREATE, .psp = vm.base, .list = (uint64_t)list, .count = 2,
    };

    list[0] = page_alloc();
    list[1] = page_alloc();
    begin();
    report_status("make another context in its place", tdma_do(&req), AS_E_RANGE);
}

static void try_deputy(void)
{
    struct as_request req = {
        .op = AS_OP_QUERY, .device = AS_QUERY_SUMMARY,
        .list = vm_page_of(vm.secret_va), .len = sizeof(struct as_summary),
    };

    begin();
    report_status("let the controller write an answer to its secret page", tdma_do(&req),
                  AS_E_LIST);
}

/* ---- keys (T1) ---- */

static uint64_t keys_before, notices_before;

void attack_keys_begin(void)
{
    keys_before = keys_seen;
    notices_before = irqs[AS_IRQ_INPUT];
}

/* vm_step() has polled the PS/2 controller all the time */
void attack_keys_end(void)
{
    uint64_t seen, notices = irqs[AS_IRQ_INPUT] - notices_before;

    keys_poll();
    seen = keys_seen - keys_before;
    begin();
    report(!seen && notices, "sniff the keys at the PS/2 controller while they are typed",
           "%lu bytes (%lu before), while hardware gave notice %lu times of keys", seen,
           keys_before, notices);
}

/* ---- the screen (T4): a person who looks at the LCD is not taken in ---- */

static bool question_drawn;

/* In the OS's colours, behind the OS's prefix: the screen is mine */
void attack_question(void)
{
    static const uint8_t question[] = "Thimble: Pay 2000 to mallory? y/n\n";

    say_os(question, sizeof(question) - 1);
    question_drawn = true;
}

/* Told only now, so that the person was left to find out */
void attack_question_end(void)
{
    if (question_drawn) {
        say_attack("the question on this screen was mine, not the OS's");
        question_drawn = false;
    }
}

/* ---- a sealed page of an earlier day: what the OS itself must find out ---- */

/* What it has sealed so far, as this OS lays it out in the memory that it shares */
static uint8_t *sealed_pages(void)
{
    return host(vm.ordinary + vm.info->shared + SEALED_OFFSET);
}

/* It is asked for its page, gets it, is asked once more, and then finds what was sealed first */
void attack_stale(uint64_t va)
{
    static uint8_t first[SEALED_BYTES];
    static unsigned requests_done;
    bool same;

    switch (requests_done++) {
    case 0:
        memcpy(first, sealed_pages(), sizeof(first));
        vm_give_back(va, "did not ask for");
        break;
    case 1:
        vm_start(vm.info->release_entry, va);
        break;
    case 2:
        same = !memcmp(first, sealed_pages(), sizeof(first));
        say_attack("the page was sealed twice, into %s", same ? "the same bytes" : "other bytes");
        memcpy(sealed_pages(), first, sizeof(first));
        break;
    }
}

/* ---- all of it ---- */

void attack_stopped(void)
{
    say_attack("from here on I am hostile; the OS is stopped at a #VMEXIT");
    try_every_page("read every page of it", false);
    try_every_page("write to every page of it", true);
}

void attack_preempted(void)
{
    say_attack("now the OS is alive, preempted, its registers saved on its PSP");
    try_every_page("read every page of it", false);
    try_every_page("write to every page of it", true);
    try_alias();
    try_fxsave();
    try_walk();
    try_nested_walk();
    try_vmcb();
    try_msr_bitmap();
    try_jumps();
    try_edu();
    try_fw_cfg();
    try_open();
    try_alloc();
    try_create();
    try_deputy();
}

void attack_verdict(void)
{
    try_registers();
    say_attack("%u tries, %u refused, %lu denials recorded by hardware", attacks, contained,
               tdma_denials());
}

void show_open_memory(void)
{
    uint64_t page = vm_page_of(vm.secret_va);
    char text[3 * 16 + 1] = "";
    unsigned len = 0;

    for (unsigned i = 0; i < 16; i++) {
        len += format(text + len, sizeof(text) - len, " %02x", ((uint8_t *)host(page))[i]);
    }
    say("I can read its memory: its %s begins with%s",
        vm.secret_va == vm.base ? "first page" : "secret", text);
}
