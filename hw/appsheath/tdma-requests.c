/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AppSheath trusted DMA controller: ALLOC, DESTROY, OPEN, CLOSE and QUERY; the
 * channels (T), and how a context dies (A8, X5).
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "core/bytes.h"
#include "core/guard.h"
#include "hw/appsheath/slb.h"
#include "hw/core/cpu.h"
#include "tdma-internal.h"
#include "trace.h"

#define LINE_PERIOD_MS 50

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
    tdma_raise_irq(s, AS_IRQ_INPUT);                                 /* T5 */
}

/* T4: one line, which the keyboard makes printable */
void tdma_show_line(void *opaque)
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
        tdma_show_line(s);
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
    if (!tdma_zero_pages(s, frames, AS_GUARD(A8_KILL) ? c->page_count : 0, 0)) {
        return false;
    }
    WITH_QEMU_LOCK_GUARD(&s->arbiter->lock) {
        as_context_free(core(s), c);
    }
    return true;
}

uint32_t coroutine_fn tdma_kill_context(Work *w)
{
    close_channels_of(w->s, w->context);
    if (!tdma_stop_world(w, step_hide) || !bury(w->s, w->context)) {
        return ABORTED;
    }
    return AS_OK;
}

void coroutine_fn tdma_bury_condemned(AppSheathTdma *s)
{
    TdmaCondemned *it = NULL;
    uint64_t psp;

    WITH_QEMU_LOCK_GUARD(&s->zero_lock) {
        it = QSLIST_FIRST(&s->condemned);
        QSLIST_REMOVE_HEAD(&s->condemned, next);
    }
    psp = it->context->psp;
    if (bury(s, it->context)) {
        tdma_note(s, AS_NOTE_KILLED, psp, 0, 0);
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

uint32_t coroutine_fn tdma_do_alloc(Work *w)
{
    AppSheathTdma *s = w->s;

    if (!as_range_is_good(core(s), w->req.psp, 1) ||
        !as_range_is_good(core(s), w->req.va, w->req.count)) {
        return AS_E_ADDRESS;
    }
    if (!tdma_read_list(w)) {
        return AS_E_LIST;
    }
    if (!find_context(w)) {
        return AS_E_CONTEXT;
    }
    if (!tdma_stop_world(w, tdma_step_add_pages)) {
        return ABORTED;
    }
    if (w->status) {
        w->req.result = w->bad;
        return w->status;
    }
    if (!tdma_zero_pages(s, w->frames, AS_GUARD(A8_ALLOC) ? w->req.count : 0, 0)) {
        return ABORTED;
    }
    pages_arrived(w);
    return w->context->alive ? AS_OK : AS_E_KILLED;
}

uint32_t coroutine_fn tdma_do_destroy(Work *w)
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
    return tdma_kill_context(w);
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

uint32_t coroutine_fn tdma_do_open(Work *w)
{
    uint32_t status = judge_channel(w, &w->use);

    if (status) {
        return status;
    }
    if (!tdma_stop_world(w, step_open)) {
        return ABORTED;
    }
    if (!w->status) {
        start_channel(w->s, channel_for(w->s, &w->use));
    }
    return w->status;
}

uint32_t coroutine_fn tdma_do_close(Work *w)
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

uint64_t tdma_caps(const AppSheathTdma *s)
{
    return (s->hash ? AS_CAP_HASH : 0) | AS_CAP_OPEN_CONTEXT |
           (s->kbd ? AS_CAP_LCD : 0);
}

static void add_summary(AppSheathTdma *s, GByteArray *out)
{
    struct as_summary sum = {
        .caps = cpu_to_le64(tdma_caps(s)),
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

uint32_t coroutine_fn tdma_do_query(Work *w)
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
    if (len && !tdma_write_guest(w->s, w->req.list, out->data, len)) {
        return AS_E_LIST;
    }
    w->req.result = len;
    return AS_OK;
}
