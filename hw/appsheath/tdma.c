/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AppSheath trusted DMA controller: see include/hw/appsheath/tdma.h and
 * section 5 of docs/specs/appsheath.rst.
 *
 * One coroutine in the main loop does one thing after the other.  What must
 * be atomic towards the vCPUs is done while all of them are stopped
 * (stop_world); what takes long is done by a thread (in_thread).
 */
#include "qemu/osdep.h"
#include "qemu/coroutine.h"
#include "qemu/cutils.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "qapi/error.h"
#include "block/aio.h"
#include "block/thread-pool.h"
#include "core/bytes.h"
#include "core/guard.h"
#include "core/image.h"
#include "core/key.h"
#include "crypto/hash.h"
#include "exec/cputlb.h"
#include "hw/appsheath/slb.h"
#include "hw/appsheath/tdma.h"
#include "hw/core/cpu.h"
#include "hw/pci/msix.h"
#include "hw/qdev-properties.h"
#include "system/tcg.h"
#include "trace.h"

/* Not a status of the ABI: the machine was reset meanwhile, forget it all */
#define ABORTED UINT32_MAX

#define LINE_PERIOD_MS 50
#define KICK_MS 2

typedef struct TdmaCondemned {
    AsContext *context;
    QSLIST_ENTRY(TdmaCondemned) next;
} TdmaCondemned;

/**
 * struct Work - one request while it is being done
 * @epoch: of the controller when it began
 * @req: the request, copied whole
 * @frames: of its page list
 * @context: the context it is about
 * @use: of OPEN and CLOSE: the channel that it is about
 * @bad: index of the page that @status is about
 */
typedef struct Work {
    AppSheathTdma *s;
    uint64_t epoch;
    struct as_request req;
    uint64_t *frames;
    AsContext *context;
    AsImage image;
    AsOffer use;
    uint64_t bad;
    uint32_t status;
    Coroutine *co;
    void (*step)(struct Work *);
} Work;

static AsArbiter *core(AppSheathTdma *s)
{
    return s->arbiter->core;
}

static bool aborted(const Work *w)
{
    return w->epoch != w->s->epoch;
}

/* ------------------------------------------------------------------ */
/* Interrupts and notices                                              */
/* ------------------------------------------------------------------ */

/* A message goes wherever the 'visor says, be it a device: never out of our
 * coroutine, in which device code must not run.  Any thread. */
static void raise_irq(AppSheathTdma *s, unsigned vector)
{
    qatomic_or(&s->irqs, 1u << vector);
    qemu_bh_schedule(s->irq_bh);
}

static void send_irqs(void *opaque)
{
    AppSheathTdma *s = opaque;
    uint32_t irqs = qatomic_xchg(&s->irqs, 0);

    for (unsigned i = 0; i < AS_IRQ_COUNT; i++) {
        if (irqs >> i & 1 && msix_enabled(PCI_DEVICE(s))) {
            msix_notify(PCI_DEVICE(s), i);
        }
    }
}

static void note(AppSheathTdma *s, uint32_t what, uint64_t psp, uint64_t va,
                 uint64_t page)
{
    if (s->note_count == TDMA_NOTES) {
        s->note_lost++;
        return;
    }
    s->notes[(s->note_first + s->note_count++) % TDMA_NOTES] =
        (TdmaNote) { .what = what, .psp = psp, .va = va, .page = page };
    raise_irq(s, AS_IRQ_NOTE);
}

static void note_pop(AppSheathTdma *s)
{
    if (s->note_count) {
        s->note_first = (s->note_first + 1) % TDMA_NOTES;
        s->note_count--;
    }
}

static TdmaNote first_note(const AppSheathTdma *s)
{
    return s->note_count ? s->notes[s->note_first] : (TdmaNote) { 0 };
}

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
static bool coroutine_fn stop_world(Work *w, void (*step)(Work *))
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

static bool coroutine_fn zero_pages(AppSheathTdma *s, uint64_t *frames,
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
/* Guest memory: ordinary untrusted accesses (D4)                      */
/* ------------------------------------------------------------------ */

/* To RAM only: no device's code may run in our coroutine */
static bool transfer(AppSheathTdma *s, uint64_t addr, void *buf, uint64_t len,
                     DMADirection way)
{
    PCIDevice *dev = PCI_DEVICE(s);
    MemTxAttrs attrs = { .memory = 1, .requester_id = pci_requester_id(dev) };
    bool ok;

    if (!AS_GUARD(D4_ATTRS)) {
        attrs = APPSHEATH_TRUSTED_ATTRS;
    }
    arbiter_controller_at_work(true);
    ok = pci_dma_rw(dev, addr, buf, len, way, attrs) == MEMTX_OK;
    arbiter_controller_at_work(false);
    return ok;
}

static bool read_guest(AppSheathTdma *s, uint64_t addr, void *buf, uint64_t len)
{
    return transfer(s, addr, buf, len, DMA_DIRECTION_TO_DEVICE);
}

static bool write_guest(AppSheathTdma *s, uint64_t addr, const void *buf,
                        uint64_t len)
{
    return transfer(s, addr, (void *)buf, len, DMA_DIRECTION_FROM_DEVICE);
}

static bool read_list(Work *w)
{
    uint32_t count = w->req.count;
    g_autofree uint64_t *list = g_new(uint64_t, count);

    if (w->req.list % 8 ||
        !read_guest(w->s, w->req.list, list, 8ull * count)) {
        return false;
    }
    w->frames = g_new(uint64_t, count);
    for (uint32_t i = 0; i < count; i++) {
        w->frames[i] = arbiter_frame(w->s->arbiter, le64_to_cpu(list[i]));
    }
    return true;
}

/* ------------------------------------------------------------------ */
/* Channels (T)                                                        */
/* ------------------------------------------------------------------ */

static uint8_t *channel_at(TdmaChannel *ch, unsigned offset)
{
    return ch->host[offset / AS_PAGE_SIZE] + offset % AS_PAGE_SIZE;
}

static uint32_t ring_capacity(const TdmaChannel *ch)
{
    uint32_t room = ch->use.pages * AS_PAGE_SIZE - AS_RING_ENTRIES;

    return pow2floor(room / sizeof(struct as_key_event));
}

static uint8_t *ring_entry(TdmaChannel *ch, uint32_t index)
{
    if (!AS_GUARD(T1_MASK)) {   /* wherever the program says, within 64 KiB */
        index = as_load32(channel_at(ch, AS_RING_PRODUCED)) & 0x1fff;
        return ch->host[0] + AS_RING_ENTRIES + index * sizeof(struct as_key_event);
    }
    return channel_at(ch, AS_RING_ENTRIES + index * sizeof(struct as_key_event));
}

/* T1: into the ring and nowhere else; what the program says is masked */
static void key_event(void *opaque, uint16_t code, bool down)
{
    AppSheathTdma *s = opaque;
    TdmaChannel *ch = &s->keys;
    uint32_t capacity = ring_capacity(ch);
    uint32_t used = ch->produced - as_load32(channel_at(ch, AS_RING_CONSUMED));
    uint32_t seq = ch->produced + ch->dropped;
    uint8_t *entry = ring_entry(ch, ch->produced & (capacity - 1));

    if (used >= capacity) {
        ch->dropped += AS_GUARD(T1_COUNT);
        as_store32(channel_at(ch, AS_RING_DROPPED), ch->dropped);
        appsheath_kbd_dropped(s->kbd, ch->dropped);
        return;
    }
    as_store32(entry, seq);
    as_store32(entry + 4, code | (uint32_t)down << 16);
    smp_wmb();          /* the program sees the entry before its number */
    as_store32(channel_at(ch, AS_RING_PRODUCED), ++ch->produced);
    raise_irq(s, AS_IRQ_INPUT);                                 /* T5 */
}

/* T4: one line, which the keyboard makes printable */
static void show_line(void *opaque)
{
    AppSheathTdma *s = opaque;
    char text[AS_NAME_MAX + 1] = "";

    memcpy(text, channel_at(&s->line, AS_LINE_TEXT), AS_NAME_MAX);
    appsheath_kbd_text(s->kbd, text);
    timer_mod(s->line_timer,
              qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + LINE_PERIOD_MS);
}

static void mark_channel(AppSheathTdma *s, TdmaChannel *ch, bool open)
{
    QEMU_LOCK_GUARD(&s->arbiter->lock);
    for (uint32_t i = 0; i < ch->use.pages; i++) {
        AsPage *p = as_page_find(core(s), ch->use.va + i * AS_PAGE_SIZE);

        if (p && (p->owner == ch->context || !AS_GUARD(P5_OFFER))) {
            p->channels += open ? 1 : -1;
            ch->host[i] = arbiter_host(s->arbiter, p->frame);
        }
    }
}

static void close_channel(AppSheathTdma *s, TdmaChannel *ch)
{
    if (ch == &s->keys) {
        appsheath_kbd_close(s->kbd);
    } else {
        timer_del(s->line_timer);
        appsheath_kbd_show(s->kbd, NULL);
    }
    trace_appsheath_channel(ch->context->psp, ch->use.va, "closed");
    mark_channel(s, ch, false);
    *ch = (TdmaChannel) { 0 };
}

static void close_channels_of(AppSheathTdma *s, const AsContext *c)
{
    if (s->keys.context == c) {
        close_channel(s, &s->keys);
    }
    if (s->line.context == c) {
        close_channel(s, &s->line);
    }
}

static void start_channel(AppSheathTdma *s, TdmaChannel *ch)
{
    const AsContext *c = ch->context;

    trace_appsheath_channel(c->psp, ch->use.va, "opened");
    if (ch == &s->line) {
        appsheath_kbd_show(s->kbd, c->name);
        show_line(s);
        return;
    }
    memset(channel_at(ch, 0), 0, AS_RING_ENTRIES);
    as_store32(channel_at(ch, AS_RING_CAPACITY), ring_capacity(ch));
    appsheath_kbd_open(s->kbd, c->name, key_event, s);
}

/* ------------------------------------------------------------------ */
/* Death (A8, X5)                                                      */
/* ------------------------------------------------------------------ */

static uint64_t *frames_of(const AsContext *c)
{
    uint64_t *frames = g_new(uint64_t, c->page_count + 1), i = 0;

    for (AsPage *p = c->pages; p; p = p->next) {
        frames[i++] = p->frame;
    }
    return frames;
}

/* Hardware has killed it meanwhile (X4, E8): it is buried once all the same */
static void forget_condemned(AppSheathTdma *s, const AsContext *c)
{
    TdmaCondemned *it, *next;

    QSLIST_FOREACH_SAFE(it, &s->condemned, next, next) {
        if (it->context == c) {
            QSLIST_REMOVE(&s->condemned, it, TdmaCondemned, next);
            g_free(it);
        }
    }
}

static void step_hide(Work *w)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        slb_throw_out(cs, w->context);                          /* X5 */
    }
    WITH_QEMU_LOCK_GUARD(&w->s->arbiter->lock) {
        as_hide(core(w->s), w->context);
    }
    forget_condemned(w->s, w->context);
}

/* Nobody is inside or can enter: zero, then free */
static bool coroutine_fn bury(AppSheathTdma *s, AsContext *c)
{
    g_autofree uint64_t *frames = frames_of(c);

    close_channels_of(s, c);
    if (!zero_pages(s, frames, AS_GUARD(A8_KILL) ? c->page_count : 0, 0)) {
        return false;
    }
    WITH_QEMU_LOCK_GUARD(&s->arbiter->lock) {
        as_context_free(core(s), c);
    }
    return true;
}

static uint32_t coroutine_fn kill_context(Work *w)
{
    close_channels_of(w->s, w->context);
    if (!stop_world(w, step_hide) || !bury(w->s, w->context)) {
        return ABORTED;
    }
    return AS_OK;
}

static void coroutine_fn bury_condemned(AppSheathTdma *s)
{
    TdmaCondemned *it = NULL;
    uint64_t psp;

    WITH_QEMU_LOCK_GUARD(&s->zero_lock) {
        it = QSLIST_FIRST(&s->condemned);
        QSLIST_REMOVE_HEAD(&s->condemned, next);
    }
    psp = it->context->psp;
    if (bury(s, it->context)) {
        note(s, AS_NOTE_KILLED, psp, 0, 0);
    }
    g_free(it);
}

static void free_now(AppSheathTdma *s, AsContext *c)
{
    close_channels_of(s, c);
    for (AsPage *p = c->pages; p; p = p->next) {
        if (p->state != AS_PAGE_LOCKED && AS_GUARD(A8_KILL)) {
            arbiter_zero(s->arbiter, p->frame, 0);
        }
    }
    QEMU_LOCK_GUARD(&s->arbiter->lock);
    as_context_free(core(s), c);
}

/* Contexts by the pages they have: hidden ones and those in the making too */
static AsContext *any_context(AppSheathTdma *s)
{
    GHashTableIter it;
    gpointer page;

    QEMU_LOCK_GUARD(&s->arbiter->lock);
    g_hash_table_iter_init(&it, core(s)->by_frame);
    return g_hash_table_iter_next(&it, NULL, &page)
           ? ((AsPage *)page)->owner : NULL;
}

void tdma_kill_all(AppSheathTdma *s)
{
    AsContext *c;
    CPUState *cs;
    TdmaCondemned *it;

    if (!AS_GUARD(X6_RESET)) {
        return;
    }
    /* The coroutine may run on in a device's reset, or long after it: what it
     * was doing is void, and it must not begin what was asked for before */
    s->control = 0;
    s->reset_wanted = s->in_request = false;
    WITH_QEMU_LOCK_GUARD(&s->zero_lock) {
        s->epoch++;
        while ((it = QSLIST_FIRST(&s->condemned))) {
            QSLIST_REMOVE_HEAD(&s->condemned, next);
            g_free(it);
        }
    }
    while ((c = any_context(s))) {
        CPU_FOREACH(cs) {
            slb_throw_out(cs, c);
        }
        free_now(s, c);
    }
}

/* ------------------------------------------------------------------ */
/* CREATE                                                              */
/* ------------------------------------------------------------------ */

static void step_add_pages(Work *w)
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
    return zero_pages(w->s, w->frames + first, w->req.count - first,
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

static uint32_t coroutine_fn do_create(Work *w)
{
    AppSheathTdma *s = w->s;
    uint32_t status;

    if (!as_range_is_good(core(s), w->req.psp, w->req.count)) {
        return AS_E_ADDRESS;
    }
    if (!read_list(w)) {
        return AS_E_LIST;
    }
    WITH_QEMU_LOCK_GUARD(&s->arbiter->lock) {
        w->context = as_context_new(core(s), w->req.psp);
    }
    s->making = w->req.psp;
    s->doomed = false;
    s->doomed_base = 0;
    w->status = AS_PENDING;     /* until the pages are locked */
    if (!stop_world(w, step_add_pages)) {
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

/* ------------------------------------------------------------------ */
/* ALLOC, DESTROY, OPEN, CLOSE                                         */
/* ------------------------------------------------------------------ */

static AsContext *find_context(Work *w)
{
    QEMU_LOCK_GUARD(&w->s->arbiter->lock);
    w->context = as_context_find(core(w->s), w->req.psp);
    return w->context;
}

static void pages_arrived(Work *w)
{
    QEMU_LOCK_GUARD(&w->s->arbiter->lock);
    for (uint32_t i = 0; i < w->req.count; i++) {
        as_arrived(core(w->s), w->context,
                   as_page_of_frame(core(w->s), w->frames[i]));
    }
}

static uint32_t coroutine_fn do_alloc(Work *w)
{
    AppSheathTdma *s = w->s;

    if (!as_range_is_good(core(s), w->req.psp, 1) ||
        !as_range_is_good(core(s), w->req.va, w->req.count)) {
        return AS_E_ADDRESS;
    }
    if (!read_list(w)) {
        return AS_E_LIST;
    }
    if (!find_context(w)) {
        return AS_E_CONTEXT;
    }
    if (!stop_world(w, step_add_pages)) {
        return ABORTED;
    }
    if (w->status) {
        w->req.result = w->bad;
        return w->status;
    }
    if (!zero_pages(s, w->frames, AS_GUARD(A8_ALLOC) ? w->req.count : 0, 0)) {
        return ABORTED;
    }
    pages_arrived(w);
    return w->context->alive ? AS_OK : AS_E_KILLED;
}

static uint32_t coroutine_fn do_destroy(Work *w)
{
    AppSheathTdma *s = w->s;

    if (!as_range_is_good(core(s), w->req.psp, 1)) {
        return AS_E_ADDRESS;
    }
    if (!find_context(w)) {
        if (s->doomed_base != w->req.psp) {
            return AS_E_CONTEXT;
        }
        s->doomed_base = 0;
        return AS_OK;
    }
    return kill_context(w);
}

static TdmaChannel *channel_for(AppSheathTdma *s, const AsOffer *use)
{
    if (use->device == AS_DEV_KEYBOARD && use->direction == AS_DIR_IN) {
        return &s->keys;
    }
    if (use->device == AS_DEV_LCD && use->direction == AS_DIR_OUT) {
        return &s->line;
    }
    return NULL;
}

static uint32_t judge_channel(Work *w, AsOffer *use)
{
    uint64_t pages = w->req.len / AS_PAGE_SIZE;

    *use = (AsOffer) {
        .va = w->req.va, .pages = MIN(pages, UINT32_MAX),
        .device = w->req.device, .direction = w->req.direction,
    };
    if (w->req.len % AS_PAGE_SIZE || !pages || pages > AS_OFFER_PAGES_MAX) {
        return AS_E_COUNT;
    }
    if (!as_range_is_good(core(w->s), w->req.psp, 1) ||
        !as_range_is_good(core(w->s), w->req.va, pages)) {
        return AS_E_ADDRESS;
    }
    return find_context(w) ? AS_OK : AS_E_CONTEXT;
}

static uint32_t claim_offer(Work *w, const AsOffer *use, const TdmaChannel *ch)
{
    QEMU_LOCK_GUARD(&w->s->arbiter->lock);
    if (!as_offered(core(w->s), w->context, use, false)) {
        return AS_E_OFFER;
    }
    if (!ch || ch->context) {
        return AS_E_DEVICE;
    }
    if (w->context->open && AS_GUARD(L5_CHANNEL)) {
        return AS_E_OPEN_CONTEXT;
    }
    as_offered(core(w->s), w->context, use, true);
    return AS_OK;
}

/* While no vCPU runs: a RELEASE comes before or after, not in between (P5) */
static void step_open(Work *w)
{
    TdmaChannel *ch = channel_for(w->s, &w->use);

    w->status = claim_offer(w, &w->use, ch);
    if (!w->status) {
        *ch = (TdmaChannel) { .context = w->context, .use = w->use };
        mark_channel(w->s, ch, true);
    }
}

static uint32_t coroutine_fn do_open(Work *w)
{
    uint32_t status = judge_channel(w, &w->use);

    if (status) {
        return status;
    }
    if (!stop_world(w, step_open)) {
        return ABORTED;
    }
    if (!w->status) {
        start_channel(w->s, channel_for(w->s, &w->use));
    }
    return w->status;
}

static uint32_t coroutine_fn do_close(Work *w)
{
    AsOffer use;
    uint32_t status = judge_channel(w, &use);
    TdmaChannel *ch = channel_for(w->s, &use);

    if (status) {
        return status;
    }
    if (!ch || ch->context != w->context || ch->use.va != use.va ||
        ch->use.pages != use.pages) {
        return AS_E_OFFER;
    }
    close_channel(w->s, ch);
    return AS_OK;
}

/* ------------------------------------------------------------------ */
/* QUERY                                                               */
/* ------------------------------------------------------------------ */

static uint64_t caps(const AppSheathTdma *s)
{
    return (s->hash ? AS_CAP_HASH : 0) | AS_CAP_OPEN_CONTEXT |
           (s->kbd ? AS_CAP_LCD : 0);
}

static void add_summary(AppSheathTdma *s, GByteArray *out)
{
    struct as_summary sum = {
        .caps = cpu_to_le64(caps(s)),
        .window_base = cpu_to_le64(core(s)->window_base),
        .window_size = cpu_to_le64(core(s)->window_size),
        .contexts = cpu_to_le64(g_hash_table_size(core(s)->contexts)),
        .pages = cpu_to_le64(g_hash_table_size(core(s)->by_frame)),
        .denials = cpu_to_le64(s->arbiter->denials),
        .key = cpu_to_le32(s->key_state),
        .max_contexts = cpu_to_le64(AS_MAX_CONTEXTS),
    };

    g_byte_array_append(out, (uint8_t *)&sum, sizeof(sum));
}

static void add_contexts(AppSheathTdma *s, GByteArray *out)
{
    GHashTableIter it;
    gpointer value;

    g_hash_table_iter_init(&it, core(s)->contexts);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        AsContext *c = value;
        struct as_context_info info = {
            .psp = cpu_to_le64(c->psp),
            .pages = cpu_to_le64(c->page_count),
            .kind = cpu_to_le32(c->open ? AS_RESULT_OPEN : AS_RESULT_TRUSTED),
            .level = cpu_to_le32(c->level),
            .depth = cpu_to_le32(c->depth),
            .cpu = cpu_to_le32(qatomic_read(&c->cpu)),
        };

        g_byte_array_append(out, (uint8_t *)&info, sizeof(info));
    }
}

static void add_pages(AppSheathTdma *s, const AsContext *c, GByteArray *out)
{
    for (AsPage *p = c->pages; p; p = p->next) {
        struct as_page_info info = {
            .va = cpu_to_le64(p->va),
            .page = cpu_to_le64(arbiter_phys(s->arbiter, p->frame)),
        };

        g_byte_array_append(out, (uint8_t *)&info, sizeof(info));
    }
}

static void collect(Work *w, GByteArray *out)
{
    QEMU_LOCK_GUARD(&w->s->arbiter->lock);
    switch (w->req.device) {
    case AS_QUERY_SUMMARY:
        add_summary(w->s, out);
        break;
    case AS_QUERY_CONTEXTS:
        add_contexts(w->s, out);
        break;
    default:
        add_pages(w->s, w->context, out);
    }
}

static uint32_t coroutine_fn do_query(Work *w)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    bool pages = w->req.device == AS_QUERY_PAGES;
    uint32_t len;

    if (pages && !as_range_is_good(core(w->s), w->req.psp, 1)) {
        return AS_E_ADDRESS;
    }
    if (w->req.list % 8) {
        return AS_E_LIST;
    }
    if (pages && !find_context(w)) {
        return AS_E_CONTEXT;
    }
    collect(w, out);
    len = MIN(out->len, w->req.len);
    if (len && !write_guest(w->s, w->req.list, out->data, len)) {
        return AS_E_LIST;
    }
    w->req.result = len;
    return AS_OK;
}

/* ------------------------------------------------------------------ */
/* The queue                                                           */
/* ------------------------------------------------------------------ */

enum { USES_VA = 1, USES_LIST = 2, USES_COUNT = 4, USES_DEVICE = 8,
       USES_DIRECTION = 16, USES_LEN = 32, MAY_OPEN = 64, USES_PSP = 128 };

typedef struct Op {
    const char *name;
    unsigned uses;
    uint32_t coroutine_fn (*run)(Work *w);
} Op;

static const Op ops[] = {
    [AS_OP_CREATE] = { "CREATE",
        USES_PSP | USES_LIST | USES_COUNT | MAY_OPEN, do_create },
    [AS_OP_ALLOC] = { "ALLOC",
        USES_PSP | USES_VA | USES_LIST | USES_COUNT, do_alloc },
    [AS_OP_DESTROY] = { "DESTROY", USES_PSP, do_destroy },
    [AS_OP_OPEN] = { "OPEN",
        USES_PSP | USES_VA | USES_DEVICE | USES_DIRECTION | USES_LEN,
        do_open },
    [AS_OP_CLOSE] = { "CLOSE",
        USES_PSP | USES_VA | USES_DEVICE | USES_DIRECTION | USES_LEN,
        do_close },
    [AS_OP_QUERY] = { "QUERY",
        USES_PSP | USES_LIST | USES_DEVICE | USES_LEN, do_query },
};

static const char *status_name(uint32_t status)
{
    static const char *const names[] = {
        [AS_OK] = "OK", [AS_E_OP] = "OP", [AS_E_FLAGS] = "FLAGS",
        [AS_E_COUNT] = "COUNT", [AS_E_ADDRESS] = "ADDRESS",
        [AS_E_LIST] = "LIST", [AS_E_CONTEXT] = "CONTEXT",
        [AS_E_PAGE] = "PAGE", [AS_E_TWICE] = "TWICE",
        [AS_E_PROTECTED] = "PROTECTED", [AS_E_BUSY] = "BUSY",
        [AS_E_RANGE] = "RANGE", [AS_E_IMAGE] = "IMAGE",
        [AS_E_NO_KEY] = "NO_KEY", [AS_E_BAD_KEY] = "BAD_KEY",
        [AS_E_NOT_TRUSTED] = "NOT_TRUSTED", [AS_E_OFFER] = "OFFER",
        [AS_E_DEVICE] = "DEVICE", [AS_E_FULL] = "FULL",
        [AS_E_OPEN_CONTEXT] = "OPEN_CONTEXT", [AS_E_KILLED] = "KILLED",
    };

    return status < ARRAY_SIZE(names) ? names[status] : "aborted";
}

static void decode(struct as_request *r)
{
    r->op = le32_to_cpu(r->op);
    r->flags = le32_to_cpu(r->flags);
    r->psp = le64_to_cpu(r->psp);
    r->va = le64_to_cpu(r->va);
    r->list = le64_to_cpu(r->list);
    r->count = le32_to_cpu(r->count);
    r->device = le16_to_cpu(r->device);
    r->direction = le16_to_cpu(r->direction);
    r->reserved = le64_to_cpu(r->reserved);
    r->len = le64_to_cpu(r->len);
    r->result = 0;
}

static bool unused_are_zero(const struct as_request *r, unsigned uses)
{
    return !r->reserved &&
           !(r->flags & ~(uses & MAY_OPEN ? AS_CREATE_ALLOW_OPEN : 0)) &&
           (uses & USES_VA || !r->va) && (uses & USES_LIST || !r->list) &&
           (uses & USES_COUNT || !r->count) &&
           (uses & USES_DEVICE || !r->device) &&
           (uses & USES_DIRECTION || !r->direction) &&
           (uses & USES_LEN || !r->len);
}

static uint32_t coroutine_fn do_request(Work *w)
{
    const struct as_request *r = &w->req;
    const Op *op = r->op < ARRAY_SIZE(ops) ? &ops[r->op] : NULL;
    uint32_t status;

    if (!op || !op->run ||
        (r->op == AS_OP_QUERY && r->device > AS_QUERY_PAGES)) {
        return AS_E_OP;
    }
    trace_appsheath_request(op->name, r->psp, r->va, r->count);
    if (!unused_are_zero(r, op->uses)) {
        status = AS_E_FLAGS;
    } else if (op->uses & USES_COUNT &&
               (!r->count || r->count > AS_LIST_MAX)) {
        status = AS_E_COUNT;
    } else {
        status = op->run(w);
    }
    trace_appsheath_request_done(op->name, r->psp, status_name(status),
                                 r->result);
    return status;
}

static uint64_t request_addr(const AppSheathTdma *s, uint32_t index)
{
    return s->queue_base +
           (uint64_t)(index % s->queue_size) * sizeof(struct as_request);
}

/* The status is written last; where that is denied, DONE still counts (D4) */
static void answer(AppSheathTdma *s, uint64_t addr, uint32_t status,
                   uint32_t result)
{
    uint32_t words[2] = { cpu_to_le32(status), cpu_to_le32(result) };

    write_guest(s, addr + offsetof(struct as_request, result), &words[1], 4);
    write_guest(s, addr + offsetof(struct as_request, status), &words[0], 4);
    s->done++;
    raise_irq(s, AS_IRQ_DONE);
}

static void coroutine_fn one_request(AppSheathTdma *s)
{
    uint64_t addr = request_addr(s, s->done);
    Work w = { .s = s, .epoch = s->epoch };
    uint32_t status;

    if (!read_guest(s, addr, &w.req, sizeof(w.req))) {
        s->queue_error = true;
        return;
    }
    decode(&w.req);
    s->in_request = true;
    status = do_request(&w);
    s->in_request = false;
    g_free(w.frames);
    if (status != ABORTED) {
        answer(s, addr, status, w.req.result);
    }
}

static void reset_registers(AppSheathTdma *s)
{
    s->queue_base = 0;
    s->queue_size = s->control = s->doorbell = s->done = 0;
    s->queue_error = false;
    s->note_first = s->note_count = s->note_lost = 0;
    s->doomed_base = 0;
    arbiter_log_reset(s->arbiter);
}

static AsContext *any_living(AppSheathTdma *s)
{
    GHashTableIter it;
    gpointer c;

    QEMU_LOCK_GUARD(&s->arbiter->lock);
    g_hash_table_iter_init(&it, core(s)->contexts);
    return g_hash_table_iter_next(&it, NULL, &c) ? c : NULL;
}

static void coroutine_fn reset_controller(AppSheathTdma *s)
{
    Work w = { .s = s, .epoch = s->epoch };

    while (!aborted(&w) && (w.context = any_living(s))) {
        kill_context(&w);
    }
    if (!aborted(&w)) {
        reset_registers(s);
        s->reset_wanted = false;
    }
}

/* What is void since a machine reset keeps nobody waiting */
static bool busy(const AppSheathTdma *s)
{
    return s->in_request || s->reset_wanted;
}

static bool has_requests(const AppSheathTdma *s)
{
    return s->control & AS_CTRL_ENABLE && !s->queue_error &&
           s->done != s->doorbell;
}

static bool has_condemned(AppSheathTdma *s)
{
    QEMU_LOCK_GUARD(&s->zero_lock);
    return !QSLIST_EMPTY(&s->condemned);
}

static void coroutine_fn tdma_run(void *opaque)
{
    AppSheathTdma *s = opaque;

    for (;;) {
        if (has_condemned(s)) {
            bury_condemned(s);
        } else if (s->reset_wanted) {
            reset_controller(s);
        } else if (has_requests(s)) {
            one_request(s);
            qemu_bh_schedule(s->work_bh);   /* a full queue must not keep the main loop */
            break;
        } else {
            break;
        }
    }
    s->running = false;
}

static void tdma_work(void *opaque)
{
    AppSheathTdma *s = opaque;

    if (!s->running) {
        s->running = true;
        qemu_coroutine_enter(qemu_coroutine_create(tdma_run, s));
    }
}

/* D: a DESTROY overtakes the CREATE of the same base that is being done */
static void look_ahead(AppSheathTdma *s)
{
    struct as_request r;

    for (uint32_t i = s->done + 1; s->making && i != s->doorbell; i++) {
        if (read_guest(s, request_addr(s, i), &r, sizeof(r)) &&
            le32_to_cpu(r.op) == AS_OP_DESTROY &&
            le64_to_cpu(r.psp) == s->making) {
            s->doomed = true;
            s->doomed_base = s->making;
        }
    }
}

static void ring_doorbell(AppSheathTdma *s, uint32_t value)
{
    if (!(s->control & AS_CTRL_ENABLE) || s->queue_error) {
        return;
    }
    /* neither beyond the queue nor back behind what was rung before */
    if (value - s->done > s->queue_size ||
        value - s->done < s->doorbell - s->done) {
        s->queue_error = true;
        return;
    }
    s->doorbell = value;
    look_ahead(s);
    qemu_bh_schedule(s->work_bh);
}

/* ------------------------------------------------------------------ */
/* Registers                                                           */
/* ------------------------------------------------------------------ */

static uint32_t half(uint64_t value, hwaddr reg)
{
    return reg & 4 ? value >> 32 : value;
}

static uint32_t read_log(AppSheathTdma *s, hwaddr reg)
{
    ArbiterDenial first;
    bool any = arbiter_log_first(s->arbiter, &first);

    switch (reg & ~7) {
    case AS_REG_LOG_PAGE:
        return any ? half(first.page, reg) : 0;
    case AS_REG_LOG_INFO:
        return any ? half(first.info, reg) : 0;
    default:
        return reg == AS_REG_LOG_COUNT ? qatomic_read(&s->arbiter->log_count)
                                       : qatomic_read(&s->arbiter->log_lost);
    }
}

static uint32_t read_note(AppSheathTdma *s, hwaddr reg)
{
    TdmaNote first = first_note(s);

    switch (reg & ~7) {
    case AS_REG_NOTE_PSP:
        return half(first.psp, reg);
    case AS_REG_NOTE_VA:
        return half(first.va, reg);
    case AS_REG_NOTE_PAGE:
        return half(first.page, reg);
    case AS_REG_NOTE_WHAT:
        return reg & 4 ? 0 : first.what;
    default:
        return reg == AS_REG_NOTE_COUNT ? s->note_count : s->note_lost;
    }
}

static uint64_t tdma_read(void *opaque, hwaddr reg, unsigned size)
{
    AppSheathTdma *s = opaque;

    if (reg >= AS_REG_LOG_COUNT && reg < AS_REG_LOG_POP) {
        return read_log(s, reg);
    }
    if (reg >= AS_REG_NOTE_COUNT && reg < AS_REG_NOTE_POP) {
        return read_note(s, reg);
    }
    switch (reg) {
    case AS_REG_MAGIC:
        return AS_TDMA_MAGIC;
    case AS_REG_VERSION:
        return AS_ABI_VERSION;
    case AS_REG_CAPS ... AS_REG_CAPS + 4:
        return half(caps(s), reg);
    case AS_REG_WINDOW_BASE ... AS_REG_WINDOW_BASE + 4:
        return half(core(s)->window_base, reg);
    case AS_REG_WINDOW_SIZE ... AS_REG_WINDOW_SIZE + 4:
        return half(core(s)->window_size, reg);
    case AS_REG_QUEUE_BASE ... AS_REG_QUEUE_BASE + 4:
        return half(s->queue_base, reg);
    case AS_REG_QUEUE_SIZE:
        return s->queue_size;
    case AS_REG_CONTROL:
        return s->control | (s->reset_wanted ? AS_CTRL_RESET : 0);
    case AS_REG_DONE:
        return s->done;
    case AS_REG_STATUS:
        return (busy(s) ? AS_ST_BUSY : 0) |
               (s->queue_error ? AS_ST_QUEUE_ERROR : 0);
    case AS_REG_KEY:
        return s->key_state;
    case AS_REG_DENIALS ... AS_REG_DENIALS + 4:
        return half(qatomic_read(&s->arbiter->denials), reg);
    default:
        return 0;
    }
}

static void write_control(AppSheathTdma *s, uint32_t value)
{
    if (value & AS_CTRL_RESET) {
        s->reset_wanted = true;
        s->control = 0;
        s->doomed = s->making != 0;
    } else if (!(value & AS_CTRL_ENABLE)) {
        s->control = 0;
        s->doorbell = s->done + s->in_request;
        s->doomed_base = 0;
        s->queue_error = false;
    } else if (s->queue_size && !s->reset_wanted) {
        s->control = AS_CTRL_ENABLE;
    }
    qemu_bh_schedule(s->work_bh);
}

static void write_queue(AppSheathTdma *s, hwaddr reg, uint32_t value)
{
    if (s->control & AS_CTRL_ENABLE || busy(s)) {
        return;     /* it is in use */
    }
    if (reg == AS_REG_QUEUE_SIZE) {
        s->queue_size = value <= AS_QUEUE_MAX ? value : 0;
    } else {
        s->queue_base = deposit64(s->queue_base, reg & 4 ? 32 : 0, 32, value);
        s->queue_base &= -(uint64_t)sizeof(struct as_request);
    }
}

static void tdma_write(void *opaque, hwaddr reg, uint64_t value, unsigned size)
{
    AppSheathTdma *s = opaque;

    switch (reg) {
    case AS_REG_QUEUE_BASE ... AS_REG_QUEUE_BASE + 4:
    case AS_REG_QUEUE_SIZE:
        write_queue(s, reg, value);
        break;
    case AS_REG_CONTROL:
        write_control(s, value);
        break;
    case AS_REG_DOORBELL:
        ring_doorbell(s, value);
        break;
    case AS_REG_LOG_POP:
        arbiter_log_pop(s->arbiter);
        break;
    case AS_REG_NOTE_POP:
        note_pop(s);
        break;
    }
}

static const MemoryRegionOps tdma_ops = {
    .read = tdma_read,
    .write = tdma_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 4, .max_access_size = 8 },
    .impl = { .min_access_size = 4, .max_access_size = 4 },
};

/* ------------------------------------------------------------------ */
/* The device                                                          */
/* ------------------------------------------------------------------ */

static void on_denied(void *opaque)
{
    raise_irq(opaque, AS_IRQ_LOG);
}

static void on_released(void *opaque, uint64_t psp, uint64_t va, uint64_t page)
{
    note(opaque, AS_NOTE_RELEASED, psp, va, page);
}

static void on_taken(void *opaque, uint64_t psp, uint64_t va)
{
    note(opaque, AS_NOTE_TAKEN, psp, va, 0);
}

static void on_condemned(void *opaque, AsContext *context)
{
    AppSheathTdma *s = opaque;
    TdmaCondemned *it = g_new0(TdmaCondemned, 1);

    it->context = context;
    trace_appsheath_condemned(context->psp);
    WITH_QEMU_LOCK_GUARD(&s->zero_lock) {
        QSLIST_INSERT_HEAD(&s->condemned, it, next);
    }
    qemu_bh_schedule(s->work_bh);
}

static const ArbiterEvents tdma_events = {
    .denied = on_denied,
    .released = on_released,
    .taken = on_taken,
    .condemned = on_condemned,
};

static void tdma_key_changed(void *opaque)
{
    AppSheathTdma *s = opaque;

    s->key_state = appsheath_usbhost_present(&s->usb) ? AS_KEY_PRESENT
                                                      : AS_KEY_NONE;
    appsheath_kbd_alert(s->kbd, NULL);
    note(s, AS_NOTE_KEY, 0, 0, 0);
}

static void tdma_realize(PCIDevice *dev, Error **errp)
{
    AppSheathTdma *s = APPSHEATH_TDMA(dev);

    if (!s->arbiter || !s->kbd) {
        error_setg(errp, "the trusted DMA controller belongs to "
                   "-machine appsheath alone");
        return;
    }
    memory_region_init_io(&s->regs, OBJECT(s), &tdma_ops, s, "appsheath-tdma",
                          AS_PAGE_SIZE);
    pci_register_bar(dev, AS_TDMA_BAR, PCI_BASE_ADDRESS_SPACE_MEMORY, &s->regs);
    if (msix_init_exclusive_bar(dev, AS_IRQ_COUNT, AS_TDMA_MSIX_BAR, errp)) {
        return;
    }
    for (int i = 0; i < AS_IRQ_COUNT; i++) {
        msix_vector_use(dev, i);
    }
    qemu_mutex_init(&s->zero_lock);
    s->work_bh = qemu_bh_new(tdma_work, s);
    s->irq_bh = qemu_bh_new(send_irqs, s);
    s->line_timer = timer_new_ms(QEMU_CLOCK_REALTIME, show_line, s);
    appsheath_usbhost_init(&s->usb, DEVICE(s), tdma_key_changed, s);
    s->arbiter->events_opaque = s;
    s->arbiter->events = &tdma_events;
}

/* The machine has killed every context before this (X6, D5) */
static void tdma_reset(DeviceState *dev)
{
    AppSheathTdma *s = APPSHEATH_TDMA(dev);

    appsheath_usbhost_cancel(&s->usb);
    reset_registers(s);
    s->reset_wanted = false;
    s->making = 0;
}

static const Property tdma_properties[] = {
    DEFINE_PROP_BOOL("hash", AppSheathTdma, hash, true),
    DEFINE_PROP_LINK("arbiter", AppSheathTdma, arbiter, TYPE_APPSHEATH_ARBITER,
                     AppSheathArbiter *),
    DEFINE_PROP_LINK("kbd", AppSheathTdma, kbd, TYPE_APPSHEATH_KBD,
                     AppSheathKbd *),
};

static void tdma_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(klass);

    pc->realize = tdma_realize;
    pc->vendor_id = AS_PCI_VENDOR;
    pc->device_id = AS_PCI_DEVICE;
    pc->class_id = PCI_CLASS_SYSTEM_OTHER;
    pc->revision = AS_ABI_VERSION;
    dc->desc = "AppSheath trusted DMA controller";
    dc->user_creatable = false;
    dc->hotpluggable = false;
    device_class_set_legacy_reset(dc, tdma_reset);
    device_class_set_props(dc, tdma_properties);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo tdma_types[] = {
    {
        .name = TYPE_APPSHEATH_TDMA,
        .parent = TYPE_PCI_DEVICE,
        .instance_size = sizeof(AppSheathTdma),
        .class_init = tdma_class_init,
        .interfaces = (InterfaceInfo[]) {
            { INTERFACE_CONVENTIONAL_PCI_DEVICE },
            { },
        },
    },
};

DEFINE_TYPES(tdma_types)
