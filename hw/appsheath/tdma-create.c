/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AppSheath trusted DMA controller: CREATE, from the image to the name on the
 * key (L), and what it shares with other requests: stopping the world and
 * zeroing.
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "block/aio.h"
#include "block/thread-pool.h"
#include "core/bytes.h"
#include "core/guard.h"
#include "core/key.h"
#include "crypto/hash.h"
#include "exec/cputlb.h"
#include "hw/core/cpu.h"
#include "system/tcg.h"
#include "tdma-internal.h"
#include "trace.h"

#define KICK_MS 2

/* ------------------------------------------------------------------ */
/* Stopping the world, threads                                         */
/* ------------------------------------------------------------------ */

static void stop_world_work(CPUState *cpu, run_on_cpu_data data)
{
    Work *w = data.host_ptr;

    WITH_QEMU_LOCK_GUARD(&w->s->zero_lock) {
        if (!aborted(w)) {
            w->step(w);
        }
    }
    aio_co_wake(w->co);
}

/* Run @step while no vCPU runs (A7); false: the machine was reset instead */
bool coroutine_fn tdma_stop_world(Work *w, void (*step)(Work *))
{
    w->co = qemu_coroutine_self();
    w->step = step;
    async_safe_run_on_cpu(first_cpu, stop_world_work,
                          RUN_ON_CPU_HOST_PTR(w));
    qemu_coroutine_yield();
    return !aborted(w);
}

static void flush_tlbs(void)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (tcg_enabled() && AS_GUARD(A7_TLB)) {
            tlb_flush(cs);
        }
    }
}

/**
 * struct Zeroing - pages to zero, by a thread (A8)
 * @from: first byte to zero in the first page
 */
typedef struct Zeroing {
    AppSheathTdma *s;
    uint64_t epoch, count;
    unsigned from;
    uint64_t *frames;
} Zeroing;

static bool zero_one(Zeroing *z, uint64_t i)
{
    QEMU_LOCK_GUARD(&z->s->zero_lock);
    if (z->epoch != z->s->epoch) {
        return false;
    }
    arbiter_zero(z->s->arbiter, z->frames[i], i ? 0 : z->from);
    return true;
}

/* A device that looked before the page was protected may still be writing
 * (it is within an RCU critical section): wait for it first. */
static int zero_thread(void *opaque)
{
    Zeroing *z = opaque;
    uint64_t i = 0;

    synchronize_rcu();
    while (i < z->count && zero_one(z, i)) {
        i++;
    }
    return 0;
}

typedef struct Kicking {
    QEMUTimer *timer;
} Kicking;

static void kick_vcpus(void *opaque)
{
    Kicking *k = opaque;
    CPUState *cs;

    CPU_FOREACH(cs) {
        qemu_cpu_kick(cs);
    }
    timer_mod(k->timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + KICK_MS);
}

/*
 * A vCPU that runs without an interrupt stays in one RCU critical section: who
 * waits for it must kick it, or a loop with IF clear stops every request.
 */
static void coroutine_fn in_thread(ThreadPoolFunc *work, void *opaque)
{
    Kicking k;

    k.timer = timer_new_ms(QEMU_CLOCK_REALTIME, kick_vcpus, &k);
    timer_mod(k.timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + KICK_MS);
    thread_pool_submit_co(work, opaque);
    timer_free(k.timer);
}

bool coroutine_fn tdma_zero_pages(AppSheathTdma *s, uint64_t *frames,
                                  uint64_t count, unsigned from)
{
    Zeroing z = {
        .s = s, .epoch = s->epoch, .frames = frames, .count = count,
        .from = from,
    };

    if (count) {
        in_thread(zero_thread, &z);
    }
    return z.epoch == s->epoch;
}

/* ------------------------------------------------------------------ */
/* CREATE                                                              */
/* ------------------------------------------------------------------ */

void tdma_step_add_pages(Work *w)
{
    QEMU_LOCK_GUARD(&w->s->arbiter->lock);
    if (w->req.op == AS_OP_ALLOC && !w->context->alive) {
        w->status = AS_E_CONTEXT;   /* hardware has killed it since (X4, E8) */
        return;
    }
    w->status = as_add_pages(core(w->s), w->context,
                             w->req.op == AS_OP_CREATE ? w->req.psp
                                                       : w->req.va,
                             w->frames, w->req.count, arbiter_busy,
                             w->s->arbiter, &w->bad);
    flush_tlbs();                                               /* A7 */
}

/**
 * struct Trial - is the image on the key?  Done by a thread (L2)
 * @matches: entries that match, on all keys
 */
typedef struct Trial {
    Work *w;
    GByteArray *keys[AS_TRUSTED_PORTS];
    unsigned key_count, matches;
    char name[AS_NAME_MAX + 1];
} Trial;

static const uint8_t **image_pages(Work *w)
{
    const uint8_t **pages = g_new(const uint8_t *, w->req.count);

    for (uint32_t i = 0; i < w->req.count; i++) {
        pages[i] = arbiter_host(w->s->arbiter, w->frames[i]);
    }
    return pages;
}

static bool hash_image(Work *w, const uint8_t **pages, uint8_t *hash)
{
    uint64_t left = w->image.image_bytes;
    g_autofree struct iovec *iov = g_new(struct iovec, w->req.count);
    size_t len = AS_HASH_SIZE, n = 0;

    for (; left; n++) {
        iov[n].iov_base = (void *)pages[n];
        iov[n].iov_len = MIN(left, AS_PAGE_SIZE);
        left -= iov[n].iov_len;
    }
    return qcrypto_hash_bytesv(QCRYPTO_HASH_ALGO_SHA256, iov, n, &hash, &len,
                               NULL) == 0;
}

static int trial_thread(void *opaque)
{
    Trial *t = opaque;
    g_autofree const uint8_t **pages = image_pages(t->w);
    uint8_t hash[AS_HASH_SIZE];
    bool hashed = t->w->s->hash && hash_image(t->w, pages, hash);
    char name[AS_NAME_MAX + 1];

    for (unsigned i = 0; i < t->key_count; i++) {
        t->matches += as_key_match(t->keys[i]->data, hashed ? hash : NULL,
                                   pages, t->w->image.image_bytes, name);
        if (name[0]) {
            memcpy(t->name, name, sizeof(name));
        }
    }
    return 0;
}

static int rcu_thread(void *opaque)
{
    synchronize_rcu();
    return 0;
}

static const char *check_keys(const Trial *t)
{
    const void *keys[AS_TRUSTED_PORTS];

    for (unsigned i = 0; i < t->key_count; i++) {
        const char *line = as_key_check(t->keys[i]->data, t->keys[i]->len);

        if (line) {
            return line;
        }
        keys[i] = t->keys[i]->data;
    }
    return as_keys_clash(keys, t->key_count);
}

static uint32_t bad_key(AppSheathTdma *s, const char *line)
{
    s->key_state = AS_KEY_BAD;
    trace_appsheath_bad_key(line);
    appsheath_kbd_alert(s->kbd, line);                          /* K1, T2 */
    return AS_E_BAD_KEY;
}

static unsigned coroutine_fn read_keys(AppSheathTdma *s, GByteArray **keys,
                                       char *line)
{
    static GByteArray *stale;
    unsigned count;

    if (!AS_GUARD(L6_FRESH) && stale) {
        keys[0] = g_byte_array_ref(stale);
        return 1;
    }
    count = appsheath_usbhost_read_keys(&s->usb, keys, line);
    if (!AS_GUARD(L6_FRESH) && count) {
        stale = g_byte_array_ref(keys[0]);
    }
    return count;
}

/* L6: the key as it is now; AS_OK: t->name is what it calls the image */
static uint32_t coroutine_fn ask_key(Trial *t)
{
    AppSheathTdma *s = t->w->s;
    char line[AS_USB_LINE_MAX] = "";
    const char *bad;

    t->key_count = read_keys(s, t->keys, line);
    if (aborted(t->w)) {
        return ABORTED;
    }
    if (!t->key_count && !line[0]) {
        s->key_state = AS_KEY_NONE;
        return AS_E_NO_KEY;
    }
    bad = line[0] ? line : check_keys(t);
    if (bad) {
        return bad_key(s, bad);
    }
    thread_pool_submit_co(trial_thread, t);
    if (aborted(t->w)) {
        return ABORTED;
    }
    if (t->matches > 1 && AS_GUARD(K1_TWINS)) {
        return bad_key(s, "key: two entries for one image");
    }
    s->key_state = AS_KEY_GOOD;
    appsheath_kbd_alert(s->kbd, NULL);
    return t->matches ? AS_OK : AS_E_NOT_TRUSTED;
}

static uint32_t coroutine_fn judge_image(Work *w, char *name)
{
    Trial t = { .w = w };
    uint32_t status;

    if (!as_image_parse(arbiter_host(w->s->arbiter, w->frames[0]), &w->image) ||
        !as_image_fits(&w->image, w->req.psp, w->req.count)) {
        return AS_E_IMAGE;
    }
    status = ask_key(&t);
    for (unsigned i = 0; i < t.key_count; i++) {
        g_byte_array_unref(t.keys[i]);
    }
    memcpy(name, t.name, sizeof(t.name));
    return status;
}

static void init_psp(AppSheathTdma *s, const Work *w)
{
    uint8_t *psp = arbiter_host(s->arbiter, w->frames[0]);

    as_store64(psp + AS_PSP_SELF, w->req.psp);
    as_store64(psp + AS_PSP_PORT, core(s)->window_base);
}

/* What lies behind the image bytes is zero (L3) */
static bool coroutine_fn zero_tail(Work *w)
{
    uint64_t first = w->image.image_bytes / AS_PAGE_SIZE;

    if (!AS_GUARD(L3_TAIL)) {
        return true;
    }
    return tdma_zero_pages(w->s, w->frames + first, w->req.count - first,
                           w->image.image_bytes % AS_PAGE_SIZE);
}

static uint32_t coroutine_fn finish_context(Work *w, const char *name,
                                            bool open)
{
    AppSheathTdma *s = w->s;
    AsContext *c = w->context;

    if (g_hash_table_size(core(s)->contexts) >= AS_MAX_CONTEXTS) {
        return AS_E_FULL;
    }
    if (!zero_tail(w)) {
        return ABORTED;
    }
    init_psp(s, w);
    c->level = w->image.level;
    c->xcr0 = w->image.xcr0;
    c->cr4 = w->image.cr4;
    pstrcpy(c->name, sizeof(c->name), open ? "" : name);        /* L3, L5 */
    QEMU_LOCK_GUARD(&s->arbiter->lock);
    as_activate(core(s), c, open, w->image.text_bytes);
    w->req.result = open ? AS_RESULT_OPEN : AS_RESULT_TRUSTED;
    trace_appsheath_context(c->psp, w->req.count, c->name);
    return AS_OK;
}

static uint32_t coroutine_fn make_context(Work *w)
{
    char name[AS_NAME_MAX + 1] = "";
    bool allow_open = w->req.flags & AS_CREATE_ALLOW_OPEN;
    uint32_t status;
    bool open;

    in_thread(rcu_thread, NULL);    /* L1: see zero_thread() */
    if (aborted(w)) {
        return ABORTED;
    }
    status = judge_image(w, name);
    open = allow_open && (status == AS_E_NO_KEY || status == AS_E_BAD_KEY ||
                          status == AS_E_NOT_TRUSTED);
    if (status != AS_OK && !open) {
        return status;
    }
    return w->s->doomed ? AS_E_KILLED : finish_context(w, name, open);
}

static void unlock_context(Work *w)
{
    QEMU_LOCK_GUARD(&w->s->arbiter->lock);
    as_context_free(core(w->s), w->context);
}

uint32_t coroutine_fn tdma_do_create(Work *w)
{
    AppSheathTdma *s = w->s;
    uint32_t status;

    if (!as_range_is_good(core(s), w->req.psp, w->req.count)) {
        return AS_E_ADDRESS;
    }
    if (!tdma_read_list(w)) {
        return AS_E_LIST;
    }
    WITH_QEMU_LOCK_GUARD(&s->arbiter->lock) {
        w->context = as_context_new(core(s), w->req.psp);
    }
    s->making = w->req.psp;
    s->doomed = false;
    s->doomed_base = 0;
    w->status = AS_PENDING;     /* until the pages are locked */
    if (!tdma_stop_world(w, tdma_step_add_pages)) {
        status = ABORTED;
    } else {
        status = w->status ?: make_context(w);
    }
    s->making = 0;
    if (status != AS_E_KILLED) {
        s->doomed_base = 0;         /* nothing was overtaken */
    }
    if (w->status) {
        w->req.result = w->bad;
    }
    /* A reset has freed a context that has pages; else it is ours to free */
    if (status == ABORTED ? w->status != AS_OK : status != AS_OK) {
        unlock_context(w);
    }
    return status;
}
