/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the qtests share: a machine whose RAM the test sees behind the
 * arbiter's back, the 'visor's side of the trusted DMA controller, images and
 * keys.
 */
#ifndef TESTS_QTEST_APPSHEATH_LIB_H
#define TESTS_QTEST_APPSHEATH_LIB_H

#include <sys/mman.h>
#include "qemu/timer.h"
#include "qemu/units.h"
#include "hw/pci/pci_regs.h"
#include "libqtest.h"
#include "libqos/pci-pc.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "appsheath/abi.h"
#include "core/bytes.h"
#ifdef APPSHEATH_CORE_ELSEWHERE     /* in another file of the program */
#include "core/key.h"
#else
#include "core/guard.c"         /* libqtest links nothing of ours */
#include "core/key.c"
#endif

/* Where things are in the guest's memory */
#define QUEUE       0x100000ull
#define SLOTS       16
#define LIST        0x200000ull
#define ANSWER      0x300000ull
#define CELLS       0x400000ull     /* an MSI-X vector writes its cell */
#define FREE        0x800000ull     /* pages for contexts */
#define FREE_BYTES  0x40000ull

#define WINDOW      (16 * TiB)
#define WINDOW_END  (17 * TiB)
#define BASE        (WINDOW + 16 * MiB)
#define PAGE        ((uint64_t)AS_PAGE_SIZE)

#define CAPS        (AS_CAP_HASH | AS_CAP_OPEN_CONTEXT | AS_CAP_LCD)
#define TDMA_DEVFN  QPCI_DEVFN(0x10, 0)
#define KBD_PATH    "/machine/peripheral/kbd0"
#define ARBITER     "/machine/arbiter"
#define PATIENCE_S  20

/**
 * struct Sheath - a machine under test
 * @raw: its RAM as it is
 * @made: requests made so far
 * @result: of the last request
 */
typedef struct Sheath {
    QTestState *qts;
    QPCIBus *bus;
    QPCIDevice *dev;
    uint64_t bar;
    uint8_t *raw;
    size_t raw_bytes;
    uint32_t made, result;
} Sheath;

/* ------------------------------------------------------------------ */
/* Waiting                                                             */
/* ------------------------------------------------------------------ */

/* How many times slower than usual this machine may be (sanitizers) */
static inline double slowness(void)
{
    const char *slow = g_getenv("APPSHEATH_SLOW");

    return slow ? MAX(g_ascii_strtod(slow, NULL), 1) : 1;
}

static inline int64_t soon(void)
{
    return g_get_monotonic_time() +
           (int64_t)(PATIENCE_S * slowness() * G_USEC_PER_SEC);
}

/* A moment; fails the test when it has taken too long */
static inline void wait_on(int64_t until)
{
    g_assert_cmpint(g_get_monotonic_time(), <, until);
    g_usleep(200);
}

/* ------------------------------------------------------------------ */
/* Registers                                                           */
/* ------------------------------------------------------------------ */

static inline uint32_t reg32(Sheath *s, unsigned reg)
{
    return qtest_readl(s->qts, s->bar + reg);
}

static inline uint64_t reg64(Sheath *s, unsigned reg)
{
    return qtest_readq(s->qts, s->bar + reg);
}

static inline void set32(Sheath *s, unsigned reg, uint32_t value)
{
    qtest_writel(s->qts, s->bar + reg, value);
}

static inline void set64(Sheath *s, unsigned reg, uint64_t value)
{
    qtest_writeq(s->qts, s->bar + reg, value);
}

static inline void wait_reg(Sheath *s, unsigned reg, uint32_t value)
{
    int64_t until = soon();

    while (reg32(s, reg) != value) {
        wait_on(until);
    }
}

static inline void wait_idle(Sheath *s)
{
    int64_t until = soon();

    while (reg32(s, AS_REG_STATUS) & AS_ST_BUSY) {
        wait_on(until);
    }
}

/* ------------------------------------------------------------------ */
/* The machine                                                         */
/* ------------------------------------------------------------------ */

static inline void set_queue(Sheath *s, uint64_t base, uint32_t slots)
{
    set32(s, AS_REG_CONTROL, 0);
    wait_idle(s);
    set64(s, AS_REG_QUEUE_BASE, base);
    set32(s, AS_REG_QUEUE_SIZE, slots);
    set32(s, AS_REG_CONTROL, AS_CTRL_ENABLE);
    g_assert_cmphex(reg32(s, AS_REG_CONTROL), ==, AS_CTRL_ENABLE);
    s->made = reg32(s, AS_REG_DONE);
}

/* As firmware and a driver do it, after power-on and each reset */
static inline void sheath_wake(Sheath *s)
{
    g_free(s->dev);
    s->dev = qpci_device_find(s->bus, TDMA_DEVFN);
    g_assert_nonnull(s->dev);
    qpci_device_enable(s->dev);
    s->bar = qpci_iomap(s->dev, AS_TDMA_BAR, NULL).addr;
    set_queue(s, QUEUE, SLOTS);
}

/* RAM in a file that the test maps as well */
static inline char *ram_file(Sheath *s, size_t bytes)
{
    char *path = NULL;
    int fd = g_file_open_tmp("appsheath-ram-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, bytes), ==, 0);
    s->raw_bytes = bytes;
    s->raw = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    g_assert_true(s->raw != MAP_FAILED);
    close(fd);
    return path;
}

/* Where the attack suite reads what was denied, a file for each machine */
static inline char *trace_args(void)
{
    const char *trace = g_getenv("APPSHEATH_TRACE");

    return trace ? g_strdup_printf("-trace appsheath_denied -D %s.%%d", trace)
                 : g_strdup("");
}

/* APPSHEATH_MACHINE: the guard that the attack suite switches off */
/* @share: s->raw is this RAM; else it is nothing */
static inline Sheath *sheath_new_ram(unsigned mib, bool share,
                                     const char *machine, const char *args)
{
    Sheath *s = g_new0(Sheath, 1);
    g_autofree char *path = ram_file(s, mib * MiB), *trace = trace_args();

    s->qts = qtest_initf("-machine appsheath,memory-backend=ram%s%s -m %u "
                         "-object memory-backend-file,id=ram,share=%s,"
                         "size=%uM,mem-path=%s -nodefaults %s %s",
                         machine, g_getenv("APPSHEATH_MACHINE") ?: "", mib,
                         share ? "on" : "off", mib, path, trace, args);
    unlink(path);
    s->bus = qpci_new_pc(s->qts, NULL);
    sheath_wake(s);
    return s;
}

static inline Sheath *sheath_new(unsigned mib, const char *machine,
                                 const char *args)
{
    return sheath_new_ram(mib, true, machine, args);
}

static inline Sheath *sheath_start(const char *args)
{
    return sheath_new(128, "", args);
}

static inline Sheath *G_GNUC_PRINTF(1, 2) sheath_startf(const char *format, ...)
{
    g_autofree char *args = NULL;
    va_list ap;

    va_start(ap, format);
    args = g_strdup_vprintf(format, ap);
    va_end(ap);
    return sheath_start(args);
}

/* qtest_quit() fails the test if QEMU did not end as it should */
static inline void sheath_stop(Sheath *s)
{
    qtest_quit(s->qts);
    munmap(s->raw, s->raw_bytes);
    g_free(s->dev);
    qpci_free_pc(s->bus);
    g_free(s);
}

static inline void sheath_reset(Sheath *s)
{
    qtest_system_reset(s->qts);
    sheath_wake(s);
}

static inline uint64_t qom_number(Sheath *s, const char *path,
                                  const char *property)
{
    QDict *reply = qtest_qmp(s->qts, "{ 'execute': 'qom-get', 'arguments': "
                             "{ 'path': %s, 'property': %s } }",
                             path, property);
    uint64_t value = qdict_get_int(reply, "return");

    qobject_unref(reply);
    return value;
}

static inline char *qom_string(Sheath *s, const char *path,
                               const char *property)
{
    QDict *reply = qtest_qmp(s->qts, "{ 'execute': 'qom-get', 'arguments': "
                             "{ 'path': %s, 'property': %s } }",
                             path, property);
    char *value = g_strdup(qdict_get_str(reply, "return"));

    qobject_unref(reply);
    return value;
}

static inline void check_lcd(Sheath *s, const char *property,
                             const char *value)
{
    g_autofree char *shown = qom_string(s, KBD_PATH, property);

    g_assert_cmpstr(shown, ==, value);
}

/* ------------------------------------------------------------------ */
/* Requests                                                            */
/* ------------------------------------------------------------------ */

static inline uint64_t slot_at(uint32_t index)
{
    return QUEUE + index % SLOTS * sizeof(struct as_request);
}

/* Into the queue, not yet rung */
static inline uint64_t sheath_put(Sheath *s, struct as_request r)
{
    uint64_t slot = slot_at(s->made++);

    r.status = AS_PENDING;
    r.result = 0x5a5a5a5a;
    qtest_memwrite(s->qts, slot, &r, sizeof(r));
    return slot;
}

static inline void sheath_ring(Sheath *s)
{
    set32(s, AS_REG_DOORBELL, s->made);
}

static inline uint32_t status_at(Sheath *s, uint64_t slot)
{
    s->result = qtest_readl(s->qts,
                            slot + offsetof(struct as_request, result));
    return qtest_readl(s->qts, slot + offsetof(struct as_request, status));
}

static inline uint32_t sheath_do(Sheath *s, struct as_request r)
{
    uint64_t slot = sheath_put(s, r);

    sheath_ring(s);
    wait_reg(s, AS_REG_DONE, s->made);
    return status_at(s, slot);
}

static inline void put_list(Sheath *s, const uint64_t *pages, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        qtest_writeq(s->qts, LIST + 8 * i, pages[i]);
    }
}

static inline struct as_request request_create(uint64_t base, uint32_t count)
{
    return (struct as_request) {
        .op = AS_OP_CREATE, .psp = base, .list = LIST, .count = count,
    };
}

static inline struct as_request request_alloc(uint64_t psp, uint64_t va,
                                              uint32_t count)
{
    return (struct as_request) {
        .op = AS_OP_ALLOC, .psp = psp, .va = va, .list = LIST, .count = count,
    };
}

static inline struct as_request request_query(unsigned what, uint64_t psp,
                                              uint64_t len)
{
    return (struct as_request) {
        .op = AS_OP_QUERY, .psp = psp, .list = ANSWER, .device = what,
        .len = len,
    };
}

static inline uint32_t sheath_destroy(Sheath *s, uint64_t psp)
{
    return sheath_do(s, (struct as_request) {
        .op = AS_OP_DESTROY, .psp = psp,
    });
}

static inline struct as_summary summary(Sheath *s)
{
    struct as_summary sum;
    struct as_request r = request_query(AS_QUERY_SUMMARY, 0, sizeof(sum));

    g_assert_cmpuint(sheath_do(s, r), ==, AS_OK);
    g_assert_cmpuint(s->result, ==, sizeof(sum));
    qtest_bufread(s->qts, ANSWER, &sum, sizeof(sum));
    return sum;
}

/* The one there is */
static inline struct as_context_info context_info(Sheath *s)
{
    struct as_context_info info;
    struct as_request r = request_query(AS_QUERY_CONTEXTS, 0, sizeof(info));

    g_assert_cmpuint(sheath_do(s, r), ==, AS_OK);
    g_assert_cmpuint(s->result, ==, sizeof(info));
    qtest_bufread(s->qts, ANSWER, &info, sizeof(info));
    return info;
}

/* ------------------------------------------------------------------ */
/* Images                                                              */
/* ------------------------------------------------------------------ */

#define IMAGE_PAGES 4               /* of memory: PSP, text, data, tail */
#define IMAGE_BYTES 0x2800ull
#define JUNK        0xa7            /* what the 'visor's pages hold before */

typedef struct Image {
    uint8_t bytes[IMAGE_PAGES * AS_PAGE_SIZE];
    uint64_t pages[IMAGE_PAGES];
} Image;

static inline Image image_new(unsigned seed)
{
    Image im;
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);

    memset(im.bytes, 0, PAGE);
    memset(im.bytes + IMAGE_BYTES, JUNK, sizeof(im.bytes) - IMAGE_BYTES);
    for (unsigned i = PAGE; i < IMAGE_BYTES; i++) {
        im.bytes[i] = g_rand_int_range(rand, 1, 256);
    }
    as_store64(im.bytes + AS_IMG_MAGIC_OFF, AS_IMG_MAGIC);
    as_store32(im.bytes + AS_IMG_VERSION, AS_ABI_VERSION);
    as_store64(im.bytes + AS_IMG_IMAGE_BYTES, IMAGE_BYTES);
    as_store64(im.bytes + AS_IMG_MEMORY_BYTES, sizeof(im.bytes));
    as_store64(im.bytes + AS_IMG_TEXT_BYTES, PAGE);
    /* in no order, and no neighbours */
    for (unsigned i = 0; i < IMAGE_PAGES; i++) {
        im.pages[i] = FREE + seed * 0x10000 + (i * 3 + 1) % 4 * 2 * PAGE;
    }
    return im;
}

/* Into guest memory, and its pages into the list */
static inline void image_put(Sheath *s, const Image *im)
{
    for (unsigned i = 0; i < IMAGE_PAGES; i++) {
        qtest_bufwrite(s->qts, im->pages[i], im->bytes + i * PAGE, PAGE);
    }
    put_list(s, im->pages, IMAGE_PAGES);
}

static inline uint32_t image_create(Sheath *s, const Image *im, uint64_t base,
                                    uint32_t flags)
{
    struct as_request r = request_create(base, IMAGE_PAGES);

    r.flags = flags;
    image_put(s, im);
    return sheath_do(s, r);
}

/* It becomes a trusted context at BASE */
static inline void create_trusted(Sheath *s, const Image *im)
{
    g_assert_cmpuint(image_create(s, im, BASE, 0), ==, AS_OK);
    g_assert_cmpuint(s->result, ==, AS_RESULT_TRUSTED);
}

static inline void image_hash(const Image *im, uint8_t hash[AS_HASH_SIZE])
{
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize len = AS_HASH_SIZE;

    g_checksum_update(sum, im->bytes, IMAGE_BYTES);
    g_checksum_get_digest(sum, hash, &len);
    g_checksum_free(sum);
}

/* A page of the image as it really is */
static inline const uint8_t *image_raw(Sheath *s, const Image *im, unsigned i)
{
    return s->raw + im->pages[i];
}

static inline bool all_are(const uint8_t *at, size_t len, uint8_t value)
{
    while (len && *at == value) {
        at++;
        len--;
    }
    return !len;
}

static inline void check_zero(Sheath *s, const Image *im)
{
    for (unsigned i = 0; i < IMAGE_PAGES; i++) {
        g_assert_true(all_are(image_raw(s, im, i), PAGE, 0));
    }
}

/* The 'visor's own data, as it was */
static inline void check_untouched(Sheath *s, const Image *im)
{
    for (unsigned i = 0; i < IMAGE_PAGES; i++) {
        g_assert_cmpmem(image_raw(s, im, i), PAGE, im->bytes + i * PAGE, PAGE);
    }
}

/* ------------------------------------------------------------------ */
/* What a refused request must not change (D1)                         */
/* ------------------------------------------------------------------ */

static inline void add_answer(Sheath *s, GByteArray *to, struct as_request r)
{
    unsigned at = to->len;

    g_assert_cmpuint(sheath_do(s, r), ==, AS_OK);
    if (s->result) {
        g_byte_array_set_size(to, at + s->result);
        qtest_bufread(s->qts, ANSWER, to->data + at, s->result);
    }
}

/* Registers that QUERY and the key's being read change by themselves */
static inline bool reg_is_still(unsigned reg)
{
    return reg != AS_REG_DONE && reg != AS_REG_KEY;
}

static inline bool reg_is_log(unsigned reg)
{
    return reg >= AS_REG_DENIALS && reg < AS_REG_LOG_POP;
}

static inline void add_registers(Sheath *s, GByteArray *to, bool log)
{
    for (unsigned reg = 0; reg < AS_REG_END; reg += 4) {
        uint32_t value = reg32(s, reg);

        if (reg_is_still(reg) && (log || !reg_is_log(reg))) {
            g_byte_array_append(to, (uint8_t *)&value, sizeof(value));
        }
    }
}

static inline void add_lcd(Sheath *s, GByteArray *to)
{
    static const char *const strings[] = { "name", "text" };
    uint8_t open = qtest_qom_get_bool(s->qts, KBD_PATH, "open");

    g_byte_array_append(to, &open, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(strings); i++) {
        g_autofree char *shown = qom_string(s, KBD_PATH, strings[i]);

        g_byte_array_append(to, (uint8_t *)shown, strlen(shown) + 1);
    }
}

/*
 * All that QUERY tells but the key, registers, what the LCD shows, the page
 * list, and memory as it really is; @log: denials, too.
 */
static inline GByteArray *sheath_state(Sheath *s, bool log)
{
    GByteArray *state = g_byte_array_new();
    struct as_summary sum = summary(s);
    unsigned first = sizeof(sum);

    sum.key = 0;
    sum.denials = log ? sum.denials : 0;
    g_byte_array_append(state, (uint8_t *)&sum, sizeof(sum));
    add_answer(s, state, request_query(AS_QUERY_CONTEXTS, 0, 64 * KiB));
    for (unsigned end = state->len; first < end;
         first += sizeof(struct as_context_info)) {
        add_answer(s, state, request_query(AS_QUERY_PAGES,
                                           as_load64(state->data + first),
                                           64 * KiB));
    }
    add_registers(s, state, log);
    add_lcd(s, state);
    g_byte_array_append(state, s->raw + LIST, PAGE);
    g_byte_array_append(state, s->raw + FREE, FREE_BYTES);
    return state;
}

static inline void check_same(const char *what, const void *before, size_t n,
                              const void *after, size_t m)
{
    if (n != m || memcmp(before, after, n)) {
        g_test_message("%s: something changed", what);
        g_test_fail();
    }
}

/* D1: this status, and nothing changed; @log: nor was anything denied */
static inline void refused_log(Sheath *s, const char *what,
                               struct as_request r, uint32_t status, bool log)
{
    g_autoptr(GByteArray) before = sheath_state(s, log), after = NULL;
    uint64_t slot = slot_at(s->made);
    uint32_t got = sheath_do(s, r), result = s->result;

    if (got != status) {
        g_test_message("%s: status %u instead of %u", what, got, status);
        g_test_fail();
    }
    check_same(what, &r, offsetof(struct as_request, status), s->raw + slot,
               offsetof(struct as_request, status));
    after = sheath_state(s, log);
    check_same(what, before->data, before->len, after->data, after->len);
    s->result = result;
}

static inline void refused(Sheath *s, const char *what, struct as_request r,
                           uint32_t status)
{
    refused_log(s, what, r, status, true);
}

/* ... but a denial is recorded */
static inline void refused_denied(Sheath *s, const char *what,
                                  struct as_request r, uint32_t status)
{
    refused_log(s, what, r, status, false);
}

/* One thing wrong with a request */
typedef struct Fault {
    uint32_t status;
    void (*make)(Sheath *s, struct as_request *r);
} Fault;

/*
 * Each fault alone, and each two at once: the first of the list wins.
 * @renew: puts things right again, may be NULL.
 */
static inline void check_faults(Sheath *s, struct as_request r, const char *op,
                                const Fault *faults, unsigned n,
                                void (*renew)(Sheath *s))
{
    for (unsigned i = 0; i < n; i++) {
        for (unsigned j = i; j < n; j++) {
            g_autofree char *what = g_strdup_printf("%s %u+%u", op, i, j);
            struct as_request bad = r;

            if (renew) {
                renew(s);
            }
            faults[j].make(s, &bad);
            if (j != i) {
                faults[i].make(s, &bad);
            }
            refused(s, what, bad, faults[i].status);
        }
    }
}

/* ------------------------------------------------------------------ */
/* The denial log (A4)                                                 */
/* ------------------------------------------------------------------ */

static inline void empty_log(Sheath *s)
{
    while (reg32(s, AS_REG_LOG_COUNT)) {
        set32(s, AS_REG_LOG_POP, 0);
    }
}

static inline uint64_t log_info(unsigned rule, unsigned master, unsigned kind)
{
    return (uint64_t)rule << AS_LOG_RULE_SHIFT |
           (uint64_t)master << AS_LOG_MASTER_SHIFT |
           (uint64_t)kind << AS_LOG_KIND_SHIFT;
}

/* The first record is this access to this page; it is dropped */
static inline void check_first(Sheath *s, uint64_t page, unsigned master,
                               unsigned kind)
{
    g_assert_cmpuint(reg32(s, AS_REG_LOG_COUNT), >, 0);
    g_assert_cmphex(reg64(s, AS_REG_LOG_PAGE), ==, page);
    g_assert_cmphex(reg64(s, AS_REG_LOG_INFO), ==,
                    log_info(AS_RULE('A', 2), master, kind));
    set32(s, AS_REG_LOG_POP, 0);
}

/* ... and so are the others: a transfer is many accesses */
static inline void check_log(Sheath *s, uint64_t page, unsigned master,
                             unsigned kind)
{
    check_first(s, page, master, kind);
    empty_log(s);
}

/* ------------------------------------------------------------------ */
/* Keys                                                                */
/* ------------------------------------------------------------------ */

static inline char *temp_file(const void *bytes, size_t len)
{
    char *path = NULL;
    int fd = g_file_open_tmp("appsheath-key-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, bytes, len), ==, len);
    close(fd);
    return path;
}

/* A file that goes away with the variable */
typedef char KeyFile;

static inline void key_file_free(KeyFile *path)
{
    if (path) {
        unlink(path);
        g_free(path);
    }
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KeyFile, key_file_free)

static inline KeyFile *key_file(const struct as_key_item *items, unsigned n)
{
    uint64_t size = as_key_size(items, n);
    g_autofree uint8_t *key = g_malloc(size);

    as_key_build(key, items, n);
    return temp_file(key, size);
}

static inline struct as_key_item item_hash(const char *name,
                                           const uint8_t *hash)
{
    struct as_key_item item = { .type = AS_KEY_HASH, .hash = hash };

    g_strlcpy(item.name, name, sizeof(item.name));
    return item;
}

static inline struct as_key_item item_data(const char *name, const Image *im)
{
    struct as_key_item item = {
        .type = AS_KEY_DATA, .data = im->bytes, .len = IMAGE_BYTES,
    };

    g_strlcpy(item.name, name, sizeof(item.name));
    return item;
}

/* A key that names this image by hash: one sector */
static inline void key_build(uint8_t key[AS_KEY_SECTOR], const char *name,
                             const Image *im)
{
    uint8_t hash[AS_HASH_SIZE];
    struct as_key_item item;

    image_hash(im, hash);
    item = item_hash(name, hash);
    g_assert_cmpuint(as_key_size(&item, 1), ==, AS_KEY_SECTOR);
    as_key_build(key, &item, 1);
}

static inline KeyFile *key_naming(const char *name, const Image *im)
{
    uint8_t key[AS_KEY_SECTOR];

    key_build(key, name, im);
    return temp_file(key, sizeof(key));
}

static inline KeyFile *key_for(const Image *im)
{
    return key_naming("Test", im);
}

static inline void plug(Sheath *s, const char *id, const char *file)
{
    qtest_qmp_device_add(s->qts, "appsheath-key", id, "{ 'file': %s }", file);
}

static inline void unplug(Sheath *s, const char *id)
{
    qtest_qmp_device_del(s->qts, id);
}

/* A machine with this key plugged in; takes the file */
static inline Sheath *sheath_with(KeyFile *file)
{
    g_autoptr(KeyFile) key = file;
    Sheath *s = sheath_start("");

    plug(s, "key", key);
    return s;
}

/* A machine that has the key for this image */
static inline Sheath *sheath_for_ram(const Image *im, unsigned mib,
                                     const char *args)
{
    g_autoptr(KeyFile) key = key_for(im);
    g_autofree char *all = g_strdup_printf("%s -device appsheath-key,id=key,"
                                           "file=%s", args, key);

    return sheath_new(mib, "", all);
}

static inline Sheath *sheath_for(const Image *im, const char *args)
{
    return sheath_for_ram(im, 128, args);
}

/*
 * A machine whose key takes its time: it is read on by qtest_clock_step()
 * only, one read a second.
 */
#define SLOW_KEY "-drive if=none,id=slow,format=raw,read-only=on," \
                 "throttling.iops-total=1,file=%s " \
                 "-device usb-storage,bus=sheath.0,id=key,drive=slow"

static inline Sheath *sheath_slow(const Image *im, const char *args)
{
    g_autoptr(KeyFile) key = key_for(im);
    g_autofree char *all = g_strdup_printf("%s " SLOW_KEY, args, key);

    return sheath_start(all);
}

/* A CREATE that waits for the slow key; returns its slot */
static inline uint64_t start_create(Sheath *s, const Image *im, uint32_t flags)
{
    struct as_request r = request_create(BASE, IMAGE_PAGES);
    uint64_t slot;

    r.flags = flags;
    image_put(s, im);
    slot = sheath_put(s, r);
    sheath_ring(s);
    g_usleep(50000);
    g_assert_cmphex(reg32(s, AS_REG_STATUS), ==, AS_ST_BUSY);
    g_assert_cmphex(status_at(s, slot), ==, AS_PENDING);
    return slot;
}

/* Let the slow key be read to its end */
static inline void hurry(Sheath *s)
{
    int64_t until = soon();

    while (reg32(s, AS_REG_DONE) != s->made) {
        wait_on(until);
        qtest_clock_step(s->qts, NANOSECONDS_PER_SECOND);
    }
}

/* ------------------------------------------------------------------ */
/* Interrupts                                                          */
/* ------------------------------------------------------------------ */

static inline uint64_t cell(unsigned vector)
{
    return CELLS + vector * 64;
}

/* What a vector writes, and where to */
static inline void set_vector(QPCIDevice *dev, unsigned vector,
                              uint64_t address, uint32_t data)
{
    uint32_t entry[] = { address, address >> 32, data, 0 };
    uint64_t at = dev->msix_table_off + vector * sizeof(entry);

    for (unsigned i = 0; i < ARRAY_SIZE(entry); i++) {
        qpci_io_writel(dev, dev->msix_table_bar, at + 4 * i, entry[i]);
    }
}

static inline void enable_msix(Sheath *s)
{
    qpci_msix_enable(s->dev);
    for (unsigned i = 0; i < AS_IRQ_COUNT; i++) {
        set_vector(s->dev, i, cell(i), 0xbeef0 + i);
    }
}

/* An interrupt came; and it is the only one */
static inline void check_irq(Sheath *s, unsigned vector)
{
    int64_t until = soon();

    while (qtest_readl(s->qts, cell(vector)) != 0xbeef0 + vector) {
        wait_on(until);
    }
    for (unsigned i = 0; i < AS_IRQ_COUNT; i++) {
        if (i != vector) {
            g_assert_cmphex(qtest_readl(s->qts, cell(i)), ==, 0);
        }
        qtest_writel(s->qts, cell(i), 0);
    }
}

/* ------------------------------------------------------------------ */
/* The monitor                                                         */
/* ------------------------------------------------------------------ */

static inline void press(QTestState *qts, const char *key, bool down)
{
    qtest_qmp_assert_success(qts, "{ 'execute': 'input-send-event', "
        "'arguments': { 'events': [ { 'type': 'key', 'data': { "
        "'down': %i, 'key': { 'type': 'qcode', 'data': %s } } } ] } }",
        down, key);
}

/* A command was refused, in these words */
static inline void check_error(QDict *reply, const char *words)
{
    QDict *error = qdict_get_qdict(reply, "error");
    const char *said = error ? qdict_get_str(error, "desc") : "no error";

    if (!error || !strstr(said, words)) {
        g_test_message("'%s' instead of '%s'", said, words);
        g_test_fail();
    }
    qobject_unref(reply);
}

#endif
