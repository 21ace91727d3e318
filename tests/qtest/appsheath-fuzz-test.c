/* ------------------------------------------------------------------ */
/* Random                                                              */
/* ------------------------------------------------------------------ */

typedef struct Fuzz {
    Sheath *s;
    GRand *rand;
    const char *key;
    bool plugged;
} Fuzz;

static uint32_t below(Fuzz *f, uint32_t n)
{
    return g_rand_int(f->rand) % n;
}

static uint64_t random64(Fuzz *f)
{
    return (uint64_t)g_rand_int(f->rand) << 32 | g_rand_int(f->rand);
}

/* Addresses as a hostile 'visor would choose them */
static uint64_t random_phys(Fuzz *f)
{
    switch (below(f, 8)) {
    case 0:
        return f->s->bar + below(f, AS_PAGE_SIZE);
    case 1:
        return QUEUE + below(f, 0x400);
    case 2:
        return random64(f) >> below(f, 64);
    case 3:
        return below(f, MiB);
    case 4:
        return 128 * MiB - below(f, 3) * PAGE;
    default:
        return FREE + below(f, 32) * PAGE;
    }
}

static uint64_t random_va(Fuzz *f)
{
    switch (below(f, 8)) {
    case 0:
        return random64(f) >> below(f, 64);
    case 1:
        return WINDOW + below(f, 3) * PAGE;
    case 2:
        return WINDOW_END - below(f, 6) * PAGE;
    default:
        return BASE + below(f, 12) * PAGE + (below(f, 16) ? 0 : 8);
    }
}

static struct as_request random_request(Fuzz *f)
{
    struct as_request r = {
        .op = below(f, 8),
        .flags = below(f, 4) ? below(f, 2) : g_rand_int(f->rand),
        .psp = random_va(f),
    };

    if (r.op == AS_OP_CREATE || r.op == AS_OP_ALLOC || r.op == AS_OP_QUERY) {
        r.list = below(f, 8) ? LIST : random_phys(f);
    }
    if (r.op == AS_OP_CREATE || r.op == AS_OP_ALLOC) {
        r.count = below(f, 8) ? below(f, 6)
                              : g_rand_int(f->rand) >> below(f, 32);
    }
    if (r.op == AS_OP_ALLOC || r.op == AS_OP_OPEN || r.op == AS_OP_CLOSE) {
        r.va = random_va(f);
    }
    if (r.op >= AS_OP_OPEN && r.op <= AS_OP_QUERY) {
        r.device = below(f, 4);
        r.len = below(f, 4) ? below(f, 4) * PAGE : random64(f) >> below(f, 64);
    }
    if (r.op == AS_OP_OPEN || r.op == AS_OP_CLOSE) {
        r.direction = below(f, 3);
    }
    if (!below(f, 30)) {
        ((uint8_t *)&r)[below(f, 56)] = below(f, 256);
    }
    return r;
}

static void fuzz_pages(Fuzz *f)
{
    Image im = image_new(below(f, 2));

    image_put(f->s, &im);
    for (unsigned i = below(f, 3); i; i--) {
        qtest_writeq(f->s->qts, LIST + below(f, 8) * 8, random_phys(f));
    }
}

static void fuzz_key(Fuzz *f)
{
    if (f->plugged) {
        unplug(f->s, "key");
    } else {
        plug(f->s, "key", f->key);
    }
    f->plugged = !f->plugged;
}

static void fuzz_register(Fuzz *f)
{
    static const unsigned regs[] = {
        AS_REG_QUEUE_BASE, AS_REG_QUEUE_SIZE, AS_REG_CONTROL, AS_REG_DOORBELL,
        AS_REG_LOG_POP, AS_REG_NOTE_POP,
    };
    unsigned reg = below(f, 4) ? regs[below(f, ARRAY_SIZE(regs))]
                               : below(f, AS_PAGE_SIZE) & ~3;

    switch (below(f, 4)) {
    case 0:
        reg64(f->s, reg & ~7);
        break;
    case 1:
        set64(f->s, reg & ~7, random64(f) >> below(f, 64));
        break;
    default:
        set32(f->s, reg, g_rand_int(f->rand) >> below(f, 32));
    }
}

static void fuzz_queue(Fuzz *f)
{
    set32(f->s, AS_REG_CONTROL, 0);
    wait_idle(f->s);
    if (reg32(f->s, AS_REG_CONTROL) == 0) {
        set64(f->s, AS_REG_QUEUE_BASE, below(f, 3) ? QUEUE : random_phys(f));
        set32(f->s, AS_REG_QUEUE_SIZE, below(f, 4) ? SLOTS : below(f, 300));
    }
    set32(f->s, AS_REG_CONTROL, AS_CTRL_ENABLE);
    f->s->made = reg32(f->s, AS_REG_DONE);
}

static void fuzz_step(Fuzz *f)
{
    switch (below(f, 40)) {
    case 0:
        fuzz_key(f);
        break;
    case 1:
        fuzz_queue(f);
        break;
    case 2:
        qtest_writeq(f->s->qts, random_phys(f), random64(f));
        break;
    case 3:
        if (!below(f, 20)) {
            sheath_reset(f->s);
        }
        break;
    case 4 ... 9:
        fuzz_register(f);
        break;
    case 10 ... 14:
        fuzz_pages(f);
        break;
    case 15 ... 17:
        sheath_ring(f->s);
        break;
    default:
        sheath_put(f->s, random_request(f));
        if (below(f, 2)) {
            sheath_ring(f->s);
        }
    }
}

static unsigned from_environment(const char *name, unsigned otherwise)
{
    const char *value = g_getenv(name);

    return value ? g_ascii_strtoull(value, NULL, 0) : otherwise;
}

/*
 * Nothing that is written to registers, queue and memory can end QEMU, and
 * after a reset everything works again.  APPSHEATH_FUZZ_SEED and
 * APPSHEATH_FUZZ_SECONDS choose another run.
 */
static void test_fuzz(void)
{
    Image im = image_new(1);
    g_autoptr(KeyFile) key = key_for(&im);
    Sheath *s = sheath_start("");
    Fuzz f = { .s = s, .key = key };
    unsigned seed = from_environment("APPSHEATH_FUZZ_SEED", 20240229), n;
    int64_t until = g_get_monotonic_time() + G_USEC_PER_SEC *
                    (int64_t)from_environment("APPSHEATH_FUZZ_SECONDS", 3);

    f.rand = g_rand_new_with_seed(seed);
    for (n = 0; g_get_monotonic_time() < until; n++) {
        fuzz_step(&f);
    }
    g_test_message("seed %u: %u steps", seed, n);
    g_rand_free(f.rand);

    control_reset(s);
    sheath_wake(s);
    g_assert_cmpuint(summary(s).contexts, ==, 0);
    g_assert_cmpuint(summary(s).pages, ==, 0);
    if (!f.plugged) {
        plug(s, "key", key);
    }
    g_assert_cmpuint(image_create(s, &im, BASE, 0), ==, AS_OK);
    g_assert_cmpuint(s->result, ==, AS_RESULT_TRUSTED);
    sheath_stop(s);
}
