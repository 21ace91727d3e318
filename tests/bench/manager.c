/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bench's own 'visor: runs one image (program.S) in ordinary memory and in
 * a context and prints what each took, a line a sample, for run.py to make
 * sense of:
 *
 *   visor: sample WHAT WHERE SIZE COUNT NANOSECONDS
 *
 * WHAT was done COUNT times; SIZE is KiB or pages where that matters, else 0.
 * -append N repeats all of it N times, one after the other, so that what else
 * the computer does meets all samples alike.  On a machine without a trusted
 * DMA controller only the samples of ordinary memory are taken.
 */
#include "visor.h"
#include "bench.h"

#define DEBUG_EXIT      0xf4
#define MOST_REPEATS    99
#define MOST_SAMPLES    4096
#define LARGEST         (64 * MIB)
#define ORDINARY_VA     0x20000000000   /* the ordinary buffer again, in pages of 4 KiB */
#define ALLOC_PAGES     AS_TAKE_PAGES_MAX
#define PROTECTED_PAGES (LARGEST / PAGE_SIZE)
#define SINGLES         32              /* ALLOCs of one page */
#define WORDS           (1 << 20)
#define TOUCHES         (1 << 17)
#define TRIES           3
#define WARM_MS         30
#define FILLS           (1 << 14)
#define FLUSHES         8               /* from QEMU's smallest TLB to one of 64 MiB */
#define SHRINK_MS       250
#define STAYS           4000
#define EXITS           2000
#define PM_HZ           3579545
#define PM_MASK         0xffffff
#define PM_OFFSET       8               /* from the base that the LPC bridge has at 0x40 */

void main(struct start_info *info);
void call_program(uint64_t address, uint64_t bytes, uint64_t passes,
                  uint64_t loop, uint64_t first);

struct sample {
    const char *what, *where;
    uint64_t size, count, ticks;
};

/* A buffer, and the copy of the program that is to use it */
struct place {
    const char *name;
    uint64_t address, first;
};

static struct sample samples[MOST_SAMPLES];
static unsigned sample_count;
static uint64_t khz;                    /* of the time stamp counter */
static uint64_t ordinary;               /* a buffer, */
static uint64_t ordinary_image;         /* and the program to use it */
static uint64_t base;                   /* of the context */
static uint64_t image_pages[16], image_count;
static uint64_t pages[PROTECTED_PAGES + SINGLES];       /* the context's others */

_Noreturn void end(unsigned value)
{
    outb(DEBUG_EXIT, value);
    for (;;) {
        wait_for_interrupt();
    }
}

/* ---- time ---- */

static uint64_t now(void)
{
    uint32_t low, high;

    asm volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return low | (uint64_t)high << 32;
}

static void calibrate(void)
{
    uint16_t port = (pci_read((struct pci) { .slot = 31 }, 0x40) & 0xff80) + PM_OFFSET;
    uint32_t start = inl(port) & PM_MASK, passed;
    uint64_t tsc = now();

    do {
        passed = (inl(port) - start) & PM_MASK;
    } while (passed < PM_HZ / 10);
    khz = (now() - tsc) * (PM_HZ / 1000) / passed;
    say("time stamp counter: %lu kHz", khz);
}

static void sample(const char *what, const char *where, uint64_t size, uint64_t count,
                   uint64_t ticks)
{
    if (sample_count == MOST_SAMPLES) {
        fail("more than %u samples", MOST_SAMPLES);
    }
    samples[sample_count++] = (struct sample) { what, where, size, count, ticks };
}

static void print_samples(void)
{
    for (unsigned i = 0; i < sample_count; i++) {
        const struct sample *s = &samples[i];
        say("sample %s %s %lu %lu %lu", s->what, s->where, s->size, s->count,
            s->ticks * 1000 / (khz / 1000));
    }
}

/* ---- memory ---- */

static uint64_t run_loop(unsigned loop, const struct place *at, uint64_t bytes,
                         uint64_t passes)
{
    uint64_t start = now();

    call_program(at->address, bytes, passes, loop, at->first);
    return now() - start;
}

/* QEMU sizes its TLB at each flush by what was used of it */
static void settle(const struct place *at, uint64_t bytes)
{
    for (unsigned i = 0; i < FLUSHES; i++) {
        flush_tlb();
        run_loop(LOOP_PAGES, at, bytes, 1);
    }
}

/* ... and only makes it smaller when little was used for some time */
static void settle_small(void)
{
    for (uint64_t start = now(); now() - start < khz * SHRINK_MS; ) {
        flush_tlb();
        asm volatile("pause");
    }
}

/* New code is slow for its first milliseconds, in ordinary memory too */
static void warm_up(const struct place *at)
{
    for (unsigned loop = LOOP_WORDS; loop <= LOOP_RANDOM; loop++) {
        for (uint64_t start = now(); now() - start < khz * WARM_MS; ) {
            run_loop(loop, at, 64 * 1024, loop == LOOP_RANDOM ? TOUCHES : 64);
        }
    }
}

/* Nothing is flushed, everything has been used; the best of a few */
static void measure_steady(const char *what, unsigned loop, const struct place *at,
                           uint64_t bytes, uint64_t passes, uint64_t count)
{
    uint64_t best = run_loop(loop, at, bytes, passes);

    for (unsigned i = 1; i < TRIES; i++) {
        uint64_t ticks = run_loop(loop, at, bytes, passes);
        best = ticks < best ? ticks : best;
    }
    sample(what, at->name, bytes / 1024, count, best);
}

/* Each access is the first to its page since a flush */
static void measure_fills(const struct place *at, uint64_t bytes)
{
    uint64_t in_pages = bytes / PAGE_SIZE, times = FILLS / in_pages, ticks = 0;

    for (uint64_t i = 0; i < times; i++) {
        flush_tlb();
        ticks += run_loop(LOOP_PAGES, at, bytes, 1);
    }
    sample("fills", at->name, bytes / 1024, times * in_pages, ticks);
}

static void measure_place(const struct place *at, uint64_t bytes)
{
    uint64_t in_words = bytes / 8, in_pages = bytes / PAGE_SIZE;
    uint64_t passes = in_words < WORDS ? WORDS / in_words : 1;

    settle(at, bytes);
    measure_steady("words", LOOP_WORDS, at, bytes, passes, passes * in_words);
    measure_steady("pages", LOOP_PAGES, at, bytes, TOUCHES / in_pages, TOUCHES);
    measure_steady("random", LOOP_RANDOM, at, bytes, TOUCHES, TOUCHES);
    measure_fills(at, bytes);
}

/* One place after the other, so that the samples to be compared are neighbours */
static void measure_memory(const struct place *places, unsigned count, unsigned repeat)
{
    static const uint64_t sizes[] = { 64 * 1024, MIB, 8 * MIB, LARGEST };

    for (unsigned p = 0; p < count; p++) {
        warm_up(&places[p]);
    }
    for (unsigned i = 0; i < COUNT(sizes); i++) {
        for (unsigned p = 0; p < count; p++) {
            measure_place(&places[repeat & 1 ? count - 1 - p : p], sizes[i]);
        }
    }
}

static void make_ordinary(void)
{
    ordinary = pages_alloc(LARGEST / PAGE_SIZE, 2 * MIB);
    for (uint64_t at = 0; at < LARGEST; at += PAGE_SIZE) {
        map(&host_space, ORDINARY_VA + at, ordinary + at, PTE_P | PTE_W);
    }
}

/* ---- the context ---- */

/* As far as this 'visor must know the image; hardware judges it (L) */
static void look_at(const struct module *image)
{
    uint64_t bytes = image->bytes < PAGE_SIZE
                   ? 0 : *(uint64_t *)host(image->start + AS_IMG_MEMORY_BYTES);

    image_count = bytes / PAGE_SIZE;
    if (!bytes || bytes != image->bytes || image_count > COUNT(image_pages)) {
        fail("the file given by -initrd is not the bench's image");
    }
    ordinary_image = pages_alloc(image_count, PAGE_SIZE);
}

/* New code each time: how well translated code happens to lie in the host's
 * memory, and that matters, is then the same luck for both of them */
static void load_ordinary(const struct module *image)
{
    memcpy(host(ordinary_image), host(image->start), image->bytes);
}

static void make_room(const struct module *image)
{
    base = *(uint64_t *)host(image->start + AS_IMG_LINK_BASE);
    for (uint64_t i = 0; i < image_count; i++) {
        image_pages[i] = page_alloc();
        map(&host_space, base + i * PAGE_SIZE, image_pages[i], PTE_P);
    }
    for (unsigned i = 0; i < COUNT(pages); i++) {
        pages[i] = page_alloc();
    }
}

static void create(const struct module *image)
{
    struct as_request req = {
        .op = AS_OP_CREATE, .psp = base, .list = (uint64_t)image_pages, .count = image_count,
    };

    for (uint64_t i = 0; i < image_count; i++) {
        memcpy(host(image_pages[i]), host(image->start + i * PAGE_SIZE), PAGE_SIZE);
    }
    uint64_t start = now();
    if (tdma_do(&req) != AS_OK) {
        fail("CREATE: %s", status_text(req.status));
    }
    sample("create", "-", image_count, 1, now() - start);
}

static uint64_t protected_va(uint64_t page)
{
    return base + LARGEST + page * PAGE_SIZE;
}

static void alloc(uint64_t from, uint64_t count, const char *when)
{
    uint64_t start = now();
    uint32_t status = tdma_alloc(base, protected_va(from), pages + from, count);

    if (status != AS_OK) {
        fail("ALLOC: %s", status_text(status));
    }
    sample("alloc", when, count, count, now() - start);
}

/* A9: the same number of pages again and again, with ever more protected already */
static void give_pages(void)
{
    static uint64_t results;

    for (unsigned i = 0; i < SINGLES; i++) {
        alloc(PROTECTED_PAGES + i, 1, "-");
    }
    for (unsigned i = 0; i < PROTECTED_PAGES; i += ALLOC_PAGES) {
        alloc(i, ALLOC_PAGES, i ? i + ALLOC_PAGES < PROTECTED_PAGES ? "between" : "last"
                                : "first");
    }
    uint64_t start = now();
    call_program(protected_va(0), (uint64_t)&results, PROTECTED_PAGES / ALLOC_PAGES, LOOP_TAKE,
                 base + AS_TEXT_OFF);
    sample("take", "-", PROTECTED_PAGES, PROTECTED_PAGES, now() - start);
    if (results) {
        fail("TAKE: result %lu", results);
    }
}

static void destroy(void)
{
    uint64_t start = now();
    uint32_t status = tdma_destroy(base);

    if (status != AS_OK) {
        fail("DESTROY: %s", status_text(status));
    }
    sample("destroy", "-", PROTECTED_PAGES, PROTECTED_PAGES, now() - start);
}

/* ---- entering, leaving, events ---- */

static void measure_stays(const struct place *at)
{
    uint64_t start = now();

    for (unsigned i = 0; i < STAYS; i++) {
        call_program(0, 0, 0, LOOP_NOTHING, at->first);
    }
    sample("call", at->name, 0, STAYS, now() - start);
    start = now();
    call_program(0, 0, STAYS, LOOP_INTERRUPTS, at->first);
    sample("interrupt", at->name, 0, STAYS, now() - start);
}

/* A guest whose memory is the machine's, one to one, and whose tables are ours */
static struct vmcb *make_guest(void)
{
    struct space nested = {
        .root = page_alloc(), .link = PTE_P | PTE_W | PTE_U, .table = page_alloc,
    };

    for (uint64_t at = 0; at < 4 * GIB; at += 2 * MIB) {
        map_2m(&nested, at, at, PTE_P | PTE_W | PTE_U);
    }
    return svm_vmcb(nested.root, host_space.root);
}

/* The guest does VMMCALL again and again; RIP is not moved on, so each is the same */
static void measure_exits(struct vmcb *guest, const struct place *at)
{
    struct regs regs = { .rcx = LOOP_VMMCALL };

    guest->rip = at->first;
    svm_run((uint64_t)guest, &regs);
    uint64_t start = now();
    for (unsigned done = 0; done < EXITS; done += guest->exit_code == VMEXIT_VMMCALL) {
        svm_run((uint64_t)guest, &regs);
        if (guest->exit_code != VMEXIT_VMMCALL && guest->exit_code != VMEXIT_INTR) {
            fail("the guest left by #VMEXIT 0x%lx", guest->exit_code);
        }
    }
    sample("vmexit", at->name, 0, EXITS, now() - start);
}

/* ---- all of it ---- */

static uint64_t repeats(const char *words)
{
    uint64_t n = 0;

    while (*words >= '0' && *words <= '9' && n <= MOST_REPEATS) {
        n = n * 10 + *words++ - '0';
    }
    if (*words || n < 1 || n > MOST_REPEATS) {
        fail("-append: how often to repeat, 1 to %u", MOST_REPEATS);
    }
    return n;
}

static void without_context(unsigned repeat)
{
    const struct place places[] = {
        { "ordinary", ORDINARY_VA, ordinary_image + AS_TEXT_OFF },
        { "ordinary-2m", ordinary, ordinary_image + AS_TEXT_OFF },
    };

    measure_memory(places, COUNT(places), repeat);
}

static void with_context(const struct module *image, struct vmcb *guest, unsigned repeat)
{
    const struct place places[] = {
        { "ordinary", ORDINARY_VA, ordinary_image + AS_TEXT_OFF },
        { "protected", protected_va(0), base + AS_TEXT_OFF },
        { "ordinary-from-inside", ORDINARY_VA, base + AS_TEXT_OFF },
        { "ordinary-2m", ordinary, ordinary_image + AS_TEXT_OFF },
    };

    create(image);
    give_pages();
    measure_memory(places, COUNT(places), repeat);
    settle_small();
    for (unsigned p = 0; p < 2; p++) {
        measure_stays(&places[p]);
    }
    for (unsigned p = 0; p < 2; p++) {
        measure_exits(guest, &places[p]);
    }
    destroy();
}

void main(struct start_info *info)
{
    console_init();
    pvh_check(info);
    pvh_find_memory(info);
    trap_init();
    svm_init();
    calibrate();
    make_ordinary();

    uint64_t n = repeats(pvh_words(info));
    const struct module *image = pvh_image(info);
    if (!image) {
        fail("there is no program to run; give QEMU one with -initrd bench.sheath");
    }
    look_at(image);
    bool trusted = tdma_init();
    struct vmcb *guest = NULL;
    if (trusted) {
        make_room(image);
        guest = make_guest();
    }
    for (unsigned i = 0; i < n; i++) {
        load_ordinary(image);
        if (trusted) {
            with_context(image, guest, i);
        } else {
            without_context(i);
        }
    }
    print_samples();
    say("the end");
    end(END_OK);
}
