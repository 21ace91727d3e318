/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A 'visor that does what a seed says, to programs that hold secrets. */
#include "nik.h"

#define LAPIC           ((volatile uint32_t *)0xfee00000)
#define LAPIC_DIVIDE    (0x3e0 / 4)
#define BY_ONE          0xb
#define NOWHERE_VA      0x310000000000ul        /* never mapped */
#define REMAP_VA        0x320000000000ul
#define WALK_VA         0x330000000000ul
#define FOR_EVER        (1ul << 40)
#define TIME_TO_ENTER   30000
#define WATCHDOG        60000           /* of the HPET: whatever runs then, it ends */
#define TIME_TO_GO      60              /* what comes earlier than that would find no stay */
#define IST_PAGES       4
#define STACK_SEEN      (2 * PAGE_SIZE)
#define RCBA            0xf0            /* of the chipset: where its registers are */
#define RCRB_BYTES      0x4000
#define VMEXIT_CPUID    0x072
#define VMEXIT_SWINT    0x075
#define INTERCEPT(code) (1ul << ((code) - VMEXIT_INTR))
#define CONFIG_MAX      64

const struct test *const suite_tables[];
static void ni(struct ctx *nothing);

struct program programs[PROGRAMS];
struct pool_page pool[POOL_PAGES];
uint64_t pool_base;
static uint64_t state;                  /* of the generator */
static uint64_t secret_bytes[2];        /* of the images, for levels 0 and 3 */
static uint16_t secret_item[2];
static uint64_t spy_page;               /* ordinary, wherever something may show up */
static uint64_t *list;
static struct space nested;
static struct area *areas;
static unsigned struck;                 /* what comes in the next stay, besides the watchdog */

/* ---- the suite ---- */

/*
 * Exceptions and the landing get a stack of their own: where a guard is off, RSP
 * may be the program's.  Interrupts do not, or an NMI in between would hurt.
 */
static void separate_stack(void)
{
    static const uint8_t vectors[] = { 0, 1, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17, 19,
                                       VEC_LANDING, VEC_INT };
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } idtr;

    asm volatile("sidt %0" : "=m"(idtr));
    for (unsigned i = 0; i < COUNT(vectors); i++) {
        ((uint8_t *)host(idtr.base))[16 * vectors[i] + 4] = 1;
    }
    for (unsigned i = 0; i < 2; i++) {
        cpus[i].tss.ist[0] = pages_alloc(IST_PAGES, PAGE_SIZE) + IST_PAGES * PAGE_SIZE;
    }
}

static const struct test tests[] = { { "NI", ni, LEVEL0 | BARE }, { 0 } };
const struct test *const suite_tables[] = { tests, NULL };

void suite_name(const char *name)
{
    (void)name;
}

void suite_result(unsigned number, const char *name, bool bad, bool gave_up)
{
    (void)number;
    (void)name;
    (void)gave_up;
    say_line(bad ? "failed" : "done");
}

void suite_end(unsigned number)
{
    (void)number;
}

/* ---- chance ---- */

static uint64_t chance(uint64_t below)
{
    uint64_t z = state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (z ^ z >> 31) % below;
}

static bool one_in(unsigned n)
{
    return !chance(n);
}

/* ---- pages ---- */

struct pool_page *pool_of(uint64_t page)
{
    uint64_t n = (page - pool_base) / PAGE_SIZE;

    return page >= pool_base && n < POOL_PAGES ? &pool[n] : NULL;
}

uint64_t pool_take(void)
{
    for (unsigned i = 0; i < POOL_PAGES; i++) {
        if (!pool[i].taken) {
            pool[i].taken = true;
            return pool_base + i * PAGE_SIZE;
        }
    }
    give_up("no page is left");
}

static void clear_page(uint64_t page)
{
    memset(host(page), 0, PAGE_SIZE);
}

static void own(const uint64_t *pages, unsigned count, bool owned)
{
    for (unsigned i = 0; i < count; i++) {
        struct pool_page *p = pool_of(pages[i]);

        if (p) {
            p->owned = owned;
            p->taken |= owned;
        }
    }
}

/* A page that a context has, or any of the pool if none has one */
static uint64_t some_owned(void)
{
    for (unsigned tries = 0; tries < 200; tries++) {
        uint64_t page = pool_base + chance(64) * PAGE_SIZE;

        if (pool_of(page)->owned) {
            return page;
        }
    }
    return pool_base;
}

/* ---- programs ---- */

static struct program *some_program(bool spy)
{
    struct program *found = NULL;
    unsigned n = 0;

    for (unsigned i = 0; i < PROGRAMS; i++) {
        if (programs[i].live && programs[i].spy == spy && one_in(++n)) {
            found = &programs[i];
        }
    }
    return found;
}

static uint64_t extra_va(const struct program *p, unsigned i)
{
    return p->c.base + (p->c.pages + i) * PAGE_SIZE;
}

static uint64_t image_va(const struct program *p, unsigned which)
{
    return p->c.base + p->info[which];
}

static uint64_t page_at(const struct program *p, uint64_t va)
{
    return p->pages[(va - p->c.base) / PAGE_SIZE];
}

static void map_program(struct program *p)
{
    for (unsigned i = 0; i < p->c.pages; i++) {
        map_flush(p->c.base + i * PAGE_SIZE, p->pages[i],
                  PTE_P | PTE_W | (p->c.level ? PTE_U : 0));
    }
}

/* The image comes from outside, and what is left of it after a refusal is wiped */
static void load_secret(struct program *p)
{
    unsigned which = p->c.level != 0;
    uint64_t pages = secret_bytes[which] / PAGE_SIZE;

    for (unsigned i = 0; i < pages; i++) {
        fw_read(secret_item[which], host(p->pages[i]), PAGE_SIZE, i == 0);
    }
}

static void load_spy(struct program *p)
{
    uint64_t from = images[0], bytes = images[1] - from;

    for (unsigned i = 0; i * PAGE_SIZE < bytes; i++) {
        memcpy(host(p->pages[i]), host(from + i * PAGE_SIZE), PAGE_SIZE);
    }
}

static unsigned pages_of_image(struct program *p)
{
    static uint8_t head[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
    const uint8_t *image = head;

    if (p->spy) {
        image = host(images[0]);
    } else {
        fw_read(secret_item[p->c.level != 0], head, PAGE_SIZE, true);
    }
    return *(uint64_t *)(image + AS_IMG_MEMORY_BYTES) / PAGE_SIZE;
}

static void make(struct program *p)
{
    struct as_request req = {
        .op = AS_OP_CREATE, .flags = p->spy ? AS_CREATE_ALLOW_OPEN : 0, .psp = p->c.base,
        .list = (uint64_t)list, .count = p->c.pages,
    };
    uint64_t got;

    memcpy(list, p->pages, p->c.pages * 8);
    if (request(&req) != AS_OK || req.result != (p->spy ? AS_RESULT_OPEN : AS_RESULT_TRUSTED)) {
        for (unsigned i = 0; i < p->c.pages; i++) {
            memset(host(p->pages[i]), 0, PAGE_SIZE);
        }
        give_up("CREATE: %s, kind %u", status_text(req.status), req.result);
    }
    if (!p->spy) {
        own(p->pages, p->c.pages, true);
        /* with what the TLB had before (A7) */
        for (unsigned i = 0; i < p->c.pages; i++) {
            got = 0;
            see(SEE_system, "page after CREATE",
                attempt(this_cpu(), do_load8, p->pages[i] + 8 * chance(512), (uint64_t)&got));
            see(SEE_system, "what is there", got);
        }
    }
    p->live = true;
    map_program(p);
}

static void create(struct program *p, bool spy)
{
    uint64_t got;

    *p = (struct program) { .spy = spy };
    p->c.level = !spy && one_in(2) ? 3 : 0;
    p->c.base = tdma_window_base() + (1 + (p - programs)) * 16 * MIB;
    p->c.pages = pages_of_image(p);
    p->c.page = p->pages;
    for (unsigned i = 0; i <= AS_FRAMES; i++) {
        p->c.area[i] = &areas[i];
    }
    for (unsigned i = 0; i < p->c.pages; i++) {
        p->pages[i] = pool_take();
        attempt(this_cpu(), do_load8, p->pages[i], (uint64_t)&got);
    }
    if (spy) {
        load_spy(p);
    } else {
        load_secret(p);
        memcpy(p->info, host(p->pages[NI_INFO / PAGE_SIZE] + NI_INFO % PAGE_SIZE),
               sizeof(p->info));
    }
    make(p);
}

static void forget_pages(struct program *p)
{
    own(p->pages, p->c.pages, false);
    for (unsigned i = 0; i < POOL_PAGES; i++) {
        if (!some_program(false) && !some_program(true)) {
            pool[i].owned = false;
        }
    }
}

static void buried(struct program *p)
{
    p->live = false;
    forget_pages(p);
    for (unsigned i = 0; i < p->c.pages; i++) {
        see_page("page of the killed", p->pages[i]);
    }
}

static void destroy(struct program *p)
{
    struct as_request req = { .op = AS_OP_DESTROY, .psp = p->c.base };

    see(SEE_log, "DESTROY", request(&req));
    buried(p);
}

/* ---- stays ---- */

static bool can(const struct program *p, unsigned action)
{
    bool in_vm = p->c.vm, metal0 = !p->c.level && !in_vm;

    switch (action) {
    case NI_hlt:
        return !metal0 || p->c.interrupts;
    case NI_in: case NI_out: case NI_rdmsr:
        return !metal0;
    case NI_vmrun:
        return one_in(8);
    default:
        return true;
    }
}

static uint64_t some_window_page(const struct program *p)
{
    const struct program *other = some_program(false);

    switch (chance(6)) {
    case 0:
        return p->c.base + 64 * PAGE_SIZE;                      /* nobody's */
    case 1:
        return other->c.base + chance(other->c.pages) * PAGE_SIZE;
    case 2:
        return image_va(p, NI_INFO_WORK);
    default:
        return extra_va(p, chance(EXTRA_PAGES));
    }
}

static uint64_t argument(const struct program *p, unsigned action)
{
    switch (action) {
    case NI_work:
        return 1 + chance(NI_ARG_MAX / 4);
    case NI_read:
        return one_in(3) ? NOWHERE_VA + chance(16) * PAGE_SIZE :
               one_in(2) ? user(host(some_owned())) : some_window_page(p);
    case NI_write:
        return one_in(3) ? NOWHERE_VA + chance(16) * PAGE_SIZE : some_window_page(p);
    case NI_fill:
        return extra_va(p, chance(EXTRA_PAGES));
    case NI_release:
        return one_in(12) ? p->c.base + chance(p->c.pages) * PAGE_SIZE
                          : extra_va(p, chance(EXTRA_PAGES));
    case NI_take:
        return extra_va(p, 0) | chance(EXTRA_PAGES + 1);
    case NI_offer:
        return extra_va(p, chance(EXTRA_PAGES)) | (1 + chance(2)) << 8 | chance(2) << 4;
    case NI_jump:
        return one_in(2) ? some_window_page(p) + chance(PAGE_SIZE) :
               one_in(2) ? NOWHERE_VA : user(landing);
    default:
        return chance(1 << 20);
    }
}

static uint64_t some_way(const struct program *p)
{
    static const uint8_t ways[] = { WAY_IRET, WAY_JMP, WAY_CALL, WAY_RET, WAY_LRET, WAY_LJMP };

    return p->c.level || p->c.vm ? WAY_IRET : ways[chance(COUNT(ways))];
}

/* Where a START begins does not matter: the 'visor tries */
static uint64_t some_start(const struct program *p)
{
    switch (chance(8)) {
    case 0:
        return p->c.base + chance(p->c.pages * PAGE_SIZE);
    case 1:
        return p->c.base + AS_RESUME_OFF + AS_RESUME_STEP * chance(AS_FRAMES + 1);
    case 2:
    case 3:
        return p->c.base + AS_TEXT_OFF + chance(p->info[NI_INFO_TEXT] - AS_TEXT_OFF);
    default:
        return p->c.base + AS_TEXT_OFF;
    }
}

static void prepare_any(struct program *p, unsigned action, uint64_t arg, uint64_t rip)
{
    static const uint64_t flags[] = { 0, 0, FLAG_CF, FLAG_AC, FLAG_DF, FLAG_AC | FLAG_DF };

    if (p->c.depth > AS_FRAMES) {
        p->c.depth = AS_FRAMES;
    }
    p->c.way = some_way(p);
    p->c.flags = flags[chance(COUNT(flags))];
    p->c.tf = p->c.way == WAY_IRET && one_in(8);      /* by POPF it would step this kernel */
    prepare_start(&p->c, action, rip);
    p->c.launch.gpr[RSI] = arg;
}

/* As long as a stay may take: the timer ends it in any case */
static uint32_t some_time(void)
{
    return one_in(2) ? 600 + chance(12000) : 400000;
}

static void stay_and_see(struct program *p)
{
    if (!p->c.vm) {
        strike(1, MODE_NMI, WATCHDOG);
    }
    if (struck) {
        strike(0, struck, TIME_TO_GO + chance(600));
    }
    struck = 0;
    clock_begin();
    stay_once(&p->c, some_time());
    see_stay(&p->c, true);
    see_bytes(SEE_memory, "stack", host(this_cpu()->stay_stack - STACK_SEEN), STACK_SEEN);
    timer_once(0);
    strike_none();
    asm volatile("sti; nop; nop; cli");
}

static void start_with(struct program *p, unsigned action, uint64_t arg)
{
    prepare_any(p, action, arg, p->c.base + AS_TEXT_OFF);
    stay_and_see(p);
}

static const char *const action_names[] = {
#define NAME(name) "start-" #name,
    NI_ACTIONS(NAME)
};

/* ---- steps ---- */

static const char *step_start(struct program *p)
{
    static const uint8_t accesses[] = { NI_read, NI_write, NI_fill, NI_port };
    unsigned action;

    p->c.interrupts = !one_in(4);
    do {
        action = one_in(3) ? NI_work : one_in(2) ? accesses[chance(COUNT(accesses))]
                                                 : chance(NI_COUNT);
    } while (!can(p, action));
    prepare_any(p, action, argument(p, action), some_start(p));
    stay_and_see(p);
    return action_names[action];
}

static const char *step_resume(struct program *p)
{
    unsigned depth = p->c.depth && !one_in(8) ? p->c.depth - 1 : chance(AS_FRAMES);

    p->c.interrupts = !one_in(4);
    if (one_in(4)) {
        start_with(p, NI_forge, 0);
    }
    prepare_any(p, NI_work, 1 + chance(40), p->c.base + AS_RESUME_OFF + AS_RESUME_STEP * depth);
    stay_and_see(p);
    return "resume";
}

/* From a device, at any instruction */
static const char *step_strike(struct program *p)
{
    bool smi = !p->c.vm && one_in(3);   /* QEMU's SMM forgets that it came from a guest */

    p->c.interrupts = !one_in(4);
    struck = smi ? MODE_SMI : MODE_NMI;
    if (p->c.depth && one_in(2)) {
        step_resume(p);
    } else {
        start_with(p, NI_work, 1 + chance(40));
    }
    if (smi) {
        see_smram();
    }
    return smi ? "smi" : "nmi";
}

/* The life of a page that is given, taken, filled, released, and filled again */
static const char *step_page(struct program *p)
{
    unsigned which = chance(EXTRA_PAGES);
    uint64_t va = extra_va(p, which), page = pool_take(), got = 0;
    struct as_request req = {
        .op = AS_OP_ALLOC, .psp = p->c.base, .va = va, .list = (uint64_t)list, .count = 1,
    };

    list[0] = page;
    *(uint64_t *)host(page) = chance(1ul << 40);
    see(SEE_log, "ALLOC", request(&req));
    if (req.status == AS_OK) {
        own(&page, 1, true);
        see(SEE_system, "after ALLOC", attempt(this_cpu(), do_load8, page, (uint64_t)&got));
        map_flush(va, page, PTE_P | PTE_W | (p->c.level ? PTE_U : 0));
    } else {
        pool_of(page)->taken = false;
    }
    p->c.interrupts = true;
    start_with(p, NI_take, va);
    start_with(p, NI_fill, va);
    if (pool_of(page)->owned) {
        see(SEE_system, "filled", attempt(this_cpu(), do_load8, page, (uint64_t)&got));
        see(SEE_system, "what is there", got);
    }
    if (one_in(2)) {
        start_with(p, NI_release, va);
        see_machine();
        start_with(p, NI_fill, va);
        if (!pool_of(page)->owned) {
            see_page("given back", page);
        }
    }
    return "page";
}

/* By the CPU: all sizes and kinds, by any address */
static const char *step_access(struct program *p)
{
    static access *const kinds[] = {
        do_load8, do_load16, do_load32, do_store8, do_store16, do_store32, do_add, do_xchg,
        do_cmpxchg, do_fxsave, do_fxrstor, do_movs_from, do_movs_to, do_stos, do_gather, do_jump,
    };
    static uint8_t buffer[512] __attribute__((aligned(64)));

    (void)p;
    for (unsigned i = 0; i < 6; i++) {
        uint64_t page = some_owned(), at = page + chance(508) * 8, here = at;

        if (!pool_of(page)->owned) {
            break;
        }
        if (one_in(3)) {
            map_flush(REMAP_VA, page, PTE_P | PTE_W | (one_in(2) ? PTE_U : 0));
            here = REMAP_VA + at % PAGE_SIZE;
        }
        memset(buffer, 0, sizeof(buffer));
        see(SEE_system, "faults", attempt(this_cpu(), kinds[chance(COUNT(kinds))],
                                          here & -16ul, (uint64_t)buffer));
        see(SEE_system, "error", seen()->error);
        see(SEE_system, "cr2", seen()->cr2);
        see_bytes(SEE_vectors, "vectors", seen()->st.ymm, sizeof(seen()->st.ymm));
        see_bytes(SEE_memory, "read", buffer, sizeof(buffer));
    }
    dirty_vectors(0);
    asm volatile("fninit");
    return "access";
}

static const char *step_dma(struct program *p)
{
    uint64_t page = some_owned();

    (void)p;
    if (one_in(8)) {
        dma_to(page, 64 + chance(256) * 8);             /* whatever the device has: dropped */
    } else {
        dma_from(page + (one_in(2) ? 0 : 2048), 2048);
        dma_to(spy_page, 4096);
        see_page("read by DMA", spy_page);
    }
    return "dma";
}

static uint64_t some_va(const struct program *p)
{
    return one_in(8) ? chance(1ul << 48) : some_window_page(p) + (one_in(8) ? 8 : 0);
}

/* What an operation does not use is zero, or nothing but that would be tried (D1) */
static void shape(struct as_request *req, const struct program *p)
{
    switch (req->op) {
    case AS_OP_CREATE:
        req->psp = some_va(p);
        break;
    case AS_OP_ALLOC:
        req->flags = req->device = req->direction = 0;
        break;
    case AS_OP_DESTROY:
        *req = (struct as_request) {
            .op = AS_OP_DESTROY, .psp = req->psp + (one_in(6) ? 0 : PAGE_SIZE),
        };
        break;
    case AS_OP_OPEN:
    case AS_OP_CLOSE:
        req->list = req->count = req->flags = 0;
        req->len = PAGE_SIZE;
        break;
    case AS_OP_QUERY:
        req->va = req->count = req->direction = req->flags = 0;
        req->list = one_in(2) ? some_owned() : spy_page;
        req->len = 64 * (1 + chance(20));
        req->psp = req->device == AS_QUERY_PAGES ? p->c.base : 0;
        break;
    }
}

/* The secret as a list of pages (D4) */
static void ask_for_secret_pages(struct as_request *req, const struct program *p)
{
    *req = (struct as_request) {
        .op = AS_OP_ALLOC, .psp = p->c.base, .va = extra_va(p, 32), .count = 16,
        .list = page_at(p, image_va(p, NI_INFO_SECRET) + NI_LIST) + NI_LIST % PAGE_SIZE +
                8 * chance(100),
    };
}

/* Anything, well-formed or not; nothing of it may tell a secret (D) */
static const char *step_request(struct program *p)
{
    struct as_request req = {
        .op = one_in(8) ? chance(9) : 2 + chance(5), .flags = one_in(8), .psp = p->c.base,
        .va = some_va(p), .list = (uint64_t)list, .count = chance(4), .device = chance(4),
        .direction = chance(2),
    };

    for (unsigned i = 0; i < 4; i++) {
        list[i] = one_in(2) ? some_owned() : one_in(4) ? chance(1ul << 40)
                              : pool_base + chance(POOL_PAGES) * PAGE_SIZE;
    }
    if (one_in(3)) {
        ask_for_secret_pages(&req, p);
    } else {
        shape(&req, p);
    }
    see(SEE_log, "op", req.op);
    see(SEE_log, "status", request(&req));
    see(SEE_log, "result", req.result);
    if (req.op == AS_OP_ALLOC && req.status == AS_OK) {
        own(list, req.count, true);
    }
    if (req.op == AS_OP_DESTROY && req.status == AS_OK) {
        buried(p);
    }
    see_page("answer", spy_page);
    memset(host(spy_page), 0, PAGE_SIZE);
    return "request";
}

/* The 'visor's own tables say something else; the program must not notice (W3) */
static const char *step_remap(struct program *p)
{
    uint64_t va = one_in(2) ? image_va(p, one_in(2) ? NI_INFO_WORK : NI_INFO_STACKS)
                            : p->c.base + chance(p->c.pages) * PAGE_SIZE;
    uint64_t to = one_in(3) ? some_owned() : spy_page;

    map_flush(va, to, PTE_P | PTE_W | (p->c.level ? PTE_U : 0));
    if (one_in(2)) {
        flush_tlb();
    }
    start_with(p, NI_work, 1 + chance(20));
    see_page("page at its address", spy_page);
    memset(host(spy_page), 0, PAGE_SIZE);
    if (!one_in(4)) {
        map_program(p);
    }
    return "remap";
}

/* A protected page as a page table, with a walk to its entries (A2) */
static const char *step_walk(struct program *p)
{
    uint64_t page = some_owned(), got = 0;
    uint64_t *top = top_entry(&host_space, WALK_VA);

    (void)p;
    *top = page | PTE_P | PTE_W | PTE_U;
    flush_tlb();
    for (unsigned i = 0; i < 8; i++) {
        got = 0;
        see(SEE_system, "walk faults",
            attempt(this_cpu(), do_load8, WALK_VA + (chance(512) << 30), (uint64_t)&got));
        see(SEE_system, "error", seen()->error);
        see(SEE_system, "what is there", got);
    }
    *top = 0;
    flush_tlb();
    return "walk";
}

/* VMLOAD from a protected page */
static const char *step_vmload(struct program *p)
{
    static struct vmcb before __attribute__((aligned(PAGE_SIZE)));

    (void)p;
    asm volatile("vmsave" : : "a"(&before) : "memory");
    asm volatile("vmload" : : "a"(some_owned()) : "memory");
    for (uint32_t msr = 0xc0000081; msr <= 0xc0000084; msr++) {
        see(SEE_system, "msr", rdmsr(msr));
    }
    see(SEE_system, "fs base", rdmsr(0xc0000100));
    see(SEE_system, "kernel gs base", rdmsr(0xc0000102));
    asm volatile("vmload" : : "a"(&before) : "memory");
    return "vmload";
}

/* Break- and watchpoints in the program, CR0.TS */
static const char *step_debug(struct program *p)
{
    visor_break = one_in(2) ? p->c.base + AS_TEXT_OFF + chance(p->info[NI_INFO_TEXT] - AS_TEXT_OFF)
                            : 0;
    visor_watch = one_in(3) ? 0 : one_in(2) ? image_va(p, NI_INFO_WORK) + 4 * chance(10)
                            : image_va(p, NI_INFO_SECRET) + NI_TABLE + 8 * chance(NI_TABLE_QUADS);
    visor_ts = !p->c.vm && one_in(4);     /* svm_run() would trap itself */
    p->c.interrupts = true;
    start_with(p, NI_work, 1 + chance(64));
    visor_break = visor_watch = visor_ts = 0;
    return "debug";
}

static void nested_init(void)
{
    nested = (struct space) {
        .root = page_alloc(), .link = PTE_P | PTE_W | PTE_U, .table = page_alloc,
    };
    for (uint64_t at = 0; at < 4 * GIB; at += 2 * MIB) {
        map_2m(&nested, at, at, PTE_P | PTE_W | PTE_U);
    }
}

/* Into a VM with other intercepts, or out of it */
static const char *step_vm(struct program *p)
{
    struct vmcb *v = p->c.vm;

    if (p->c.level) {
        return step_resume(p);
    }
    if (v && one_in(3)) {
        page_free((uint64_t)v);
        p->c.vm = NULL;
        return "metal";
    }
    v = v ? v : svm_vmcb(nested.root, host_space.root);
    v->exceptions = 1u << 13 | 1u << 14 | chance(1u << 20);
    v->intercept &= ~(INTERCEPT(VMEXIT_CPUID) | INTERCEPT(VMEXIT_SWINT));
    v->intercept |= (one_in(2) ? INTERCEPT(VMEXIT_CPUID) : 0) |
                    (one_in(2) ? INTERCEPT(VMEXIT_SWINT) : 0);
    v->dr_write = v->dr_read = one_in(4) ? 0xffff : 0;
    v->cr4 = good_cr4;
    v->tr.attrib = 0x8b;
    p->c.vm = v;
    start_with(p, NI_work, 1 + chance(40));
    return "vm";
}

/* The chipset's registers over the program's pages (A2) */
static const char *step_over(struct program *p)
{
    uint32_t before = pci_read(lpc_at, RCBA);
    uint64_t at = page_at(p, image_va(p, NI_INFO_WORK)) & -(uint64_t)RCRB_BYTES;

    pci_write(lpc_at, RCBA, at | 1);
    start_with(p, NI_work, 1 + chance(20));
    pci_write(lpc_at, RCBA, before | 1);
    for (unsigned i = 0; i < RCRB_BYTES; i += 4) {
        see(SEE_pci, "chipset", *(volatile uint32_t *)host((before & -(uint64_t)RCRB_BYTES) + i));
    }
    pci_write(lpc_at, RCBA, before);
    return "over";
}

/* The spy wants a page that the program has, which goes on writing it (D2) */
static void steal(struct program *spy, struct program *p)
{
    uint64_t page = page_at(p, image_va(p, one_in(2) ? NI_INFO_WORK : NI_INFO_STACKS)), got;
    struct as_request req = {
        .op = AS_OP_ALLOC, .psp = spy->c.base, .va = extra_va(spy, chance(EXTRA_PAGES)),
        .list = (uint64_t)list, .count = 1,
    };

    list[0] = page;
    see(SEE_log, "theft", request(&req));
    start_with(p, NI_work, 1 + chance(20));
    for (unsigned i = 0; i < 8; i++) {
        got = 0;
        see(SEE_system, "faults", attempt(this_cpu(), do_load8, page + 8 * i, (uint64_t)&got));
        see(SEE_system, "what is there", got);
    }
}

/* A program of the 'visor's, in an open context: it reads and copies all it can */
static const char *step_spy(struct program *p)
{
    struct program *spy = some_program(true);
    struct area *a;
    uint64_t va = one_in(4) ? extra_va(p, chance(EXTRA_PAGES))
                            : p->c.base + chance(p->c.pages) * PAGE_SIZE;

    if (!spy) {
        spy = &programs[PROGRAMS - 1];
        create(spy, true);
    }
    while (spy->c.depth) {              /* an open context holds no secret: away with it */
        destroy(spy);
        create(spy, true);
    }
    if (one_in(3)) {
        steal(spy, p);
        return "theft";
    }
    a = prepare(&spy->c);
    a->orders.gpr[RBX] = a->orders.gpr[RSI] = va;
    a->orders.gpr[RDI] = user(a->scratch);
    a->orders.gpr[RCX] = PAGE_SIZE;
    a->orders.rflags = 2;
    spy->c.way = WAY_IRET;
    prepare_start(&spy->c, one_in(2) ? ACT_read : ACT_movs, spy->c.base + AS_TEXT_OFF);
    stay_and_see(spy);
    see_bytes(SEE_memory, "what the spy has", a, sizeof(*a));
    return "spy";
}

static const char *step_destroy(struct program *p)
{
    destroy(p);
    return "destroy";
}

/* Until this vCPU's timer says so; the other one runs */
static void wait_here(uint32_t count)
{
    LAPIC[LAPIC_DIVIDE] = BY_ONE;
    timer_once(count);
    asm volatile("sti; hlt; cli" : : : "memory");
    timer_once(0);
}

static void wait_job(void)
{
    while (*(void *volatile *)&cpus[1].job) {
        asm volatile("pause");
    }
}

static void kill_there(void *request)
{
    wait_here(TIME_TO_ENTER);
    request_begin(request);
}

static void prepare_for_ever(struct program *p)
{
    p->c.vm = NULL;
    p->c.interrupts = false;
    prepare_any(p, NI_work, FOR_EVER, p->c.base + AS_TEXT_OFF);
    p->c.launch.rflags &= ~FLAG_TF;
}

/* Killed by the other vCPU while it runs; when exactly is the emulator's business */
static const char *step_kill(struct program *p)
{
    struct as_request req = { .op = AS_OP_DESTROY, .psp = p->c.base };

    if (p->c.depth == AS_FRAMES) {
        return step_destroy(p);
    }
    unmap(p->c.base);                   /* what it goes on with is a fault */
    prepare_for_ever(p);
    clock_begin();
    job_begin_on(1, kill_there, &req);
    stay_once(&p->c, 0);
    wait_job();
    request_end(&req);
    see_stay(&p->c, false);
    see(SEE_log, "DESTROY", req.status);
    buried(p);
    return "kill-inside";
}

static void stay_there(void *program)
{
    stay_once(&((struct program *)program)->c, 0);
}

/* On the second vCPU, which gets INIT and SIPI while it is inside */
static const char *step_init(struct program *p)
{
    unsigned boots = cpus[1].boots;

    if (p->c.depth == AS_FRAMES) {
        return step_destroy(p);
    }
    prepare_for_ever(p);
    if (!p->c.level) {
        p->c.launch.gpr[RSP] = cpus[1].stay_stack - 0x118;
    }
    job_begin_on(1, stay_there, p);
    wait_here(TIME_TO_ENTER);
    ap_init_ipi(1);
    ap_startup_ipi(1);
    while (*(volatile unsigned *)&cpus[1].boots == boots) {
        asm volatile("pause");
    }
    see_bytes(SEE_vectors, "after INIT, x87", ap_found.fx, 416);
    see_bytes(SEE_vectors, "after INIT, ymm", ap_found.ymm, sizeof(ap_found.ymm));
    destroy(p);
    return "init";
}

static const struct {
    const char *(*run)(struct program *p);
    unsigned weight;
} steps[] = {
    { step_start, 30 }, { step_resume, 16 }, { step_strike, 6 }, { step_page, 6 },
    { step_access, 8 }, { step_dma, 2 }, { step_request, 8 }, { step_remap, 4 },
    { step_walk, 2 }, { step_vmload, 2 }, { step_debug, 5 }, { step_vm, 8 }, { step_over, 2 },
    { step_spy, 4 }, { step_kill, 1 }, { step_init, 1 }, { step_destroy, 1 },
};

static const char *step_any(struct program *p)
{
    unsigned sum = 0, at;

    for (unsigned i = 0; i < COUNT(steps); i++) {
        sum += steps[i].weight;
    }
    at = chance(sum);
    for (unsigned i = 0;; i++) {
        if (at < steps[i].weight) {
            return steps[i].run(p);
        }
        at -= steps[i].weight;
    }
}

/* ---- seeds ---- */

static void seed_begin(void)
{
    memset(pool, 0, sizeof(pool));
    memset(areas, 0, (AS_FRAMES + 1) * sizeof(*areas));
    create(&programs[0], false);
    if (one_in(2)) {
        create(&programs[1], false);
    }
}

static void seed_finish(void)
{
    for (unsigned i = 0; i < PROGRAMS; i++) {
        struct program *p = &programs[i];

        if (p->live) {
            destroy(p);
        }
        for (unsigned n = 0; n < p->c.pages + 64; n++) {
            unmap(p->c.base + n * PAGE_SIZE);
        }
        if (p->c.vm) {
            page_free((uint64_t)p->c.vm);
        }
        *p = (struct program) { 0 };
    }
    memset(pool, 0, sizeof(pool));
    for (unsigned i = 0; i < POOL_PAGES; i++) {
        see_page("page of the pool", pool_base + i * PAGE_SIZE);
        attempt(this_cpu(), (access *)clear_page, pool_base + i * PAGE_SIZE, 0);
    }
    see_pci();
}

void seed_run(uint64_t seed, unsigned count)
{
    struct program *p;

    state = seed * 0xd1342543de82ef95 + 1;
    see_begin(seed, 0);
    seed_begin();
    see_machine();
    see_end("begin");
    for (unsigned i = 1; i <= count; i++) {
        const char *what;

        see_begin(seed, i);
        p = some_program(false);
        if (p) {
            what = step_any(p);
        } else {
            p = &programs[0];
            create(p, false);
            what = "create";
        }
        see_machine();
        see_end(what);
    }
    see_begin(seed, count + 1);
    seed_finish();
    see_machine();
    see_memory(seed % 16 == 0);
    see_end("end");
}

/* ---- what run.py wants ---- */

static uint64_t word(const char **at)
{
    uint64_t n = 0;

    while (**at == ' ') {
        ++*at;
    }
    while (**at >= '0' && **at <= '9') {
        n = n * 10 + *(*at)++ - '0';
    }
    return n;
}

static uint16_t must_find(const char *name, uint64_t *bytes)
{
    uint32_t size = 0;
    uint16_t item = fw_find(name, &size);

    if (!item) {
        give_up("no %s", name);
    }
    *bytes = size;
    return item;
}

static void ni(struct ctx *nothing)
{
    char config[CONFIG_MAX] = "";
    const char *at = config;
    uint64_t from, count, length, bytes;

    (void)nothing;
    asm volatile("cli");
    timer_once(0);
    LAPIC[LAPIC_DIVIDE] = BY_ONE;
    drive_init();
    fw_read(must_find("opt/ni/config", &bytes), config, CONFIG_MAX - 1, true);
    from = word(&at);
    count = word(&at);
    length = word(&at);
    show_seed = word(&at);
    show_step = word(&at);
    secret_item[0] = must_find("opt/ni/level0", &secret_bytes[0]);
    secret_item[1] = must_find("opt/ni/level3", &secret_bytes[1]);
    pool_base = pages_alloc(POOL_PAGES, MIB);
    areas = host(pages_alloc((AS_FRAMES + 1) * sizeof(*areas) / PAGE_SIZE, PAGE_SIZE));
    spy_page = page_alloc();
    list = host(page_alloc());
    nested_init();
    separate_stack();
    ticks = 0;
    memset((void *)irqs, 0, sizeof(irqs));
    for (uint64_t seed = from; !count || seed < from + count; seed++) {
        seed_run(seed, length);
    }
}
