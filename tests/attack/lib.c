/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What several attacks need. */
#include "lib.h"

#define PATIENCE        (2 * TIMER_HZ)

/* ---- two vCPUs ---- */

void run_loop(void *context)
{
    struct ctx *c = context;

    flush_tlb();
    prepare(c);
    prepare_start(c, ACT_loop, c->base + AS_TEXT_OFF);
    stay_once(c, 0);
}

void loop_elsewhere(struct ctx *c, void (*job)(void *))
{
    uint64_t deadline = ticks + PATIENCE;

    job_begin(job, c);
    while (running_on(c) != 1) {
        if (ticks > deadline) {
            give_up("the second vCPU did not get into the context");
        }
    }
    for (deadline = ticks + 2; ticks < deadline;) {     /* into the loop */
        wait_for_interrupt();
    }
}

/* ---- memory ---- */

uint64_t page_at(const struct ctx *c, uint64_t va)
{
    return c->page[(va - c->base) / PAGE_SIZE];
}

uint64_t my_page(void)
{
    uint64_t page = page_alloc();

    for (unsigned i = 0; i < PAGE_SIZE / 8; i++) {
        ((uint64_t *)host(page))[i] = MINE;
    }
    return page;
}

bool reads(uint64_t at, uint64_t *got)
{
    *got = 0;
    return !attempt(this_cpu(), do_load8, at, (uint64_t)got);
}

bool writes(uint64_t at, uint64_t v)
{
    return !attempt(this_cpu(), do_store8, at, (uint64_t)&v);
}

bool program_reads(struct ctx *c, uint64_t va, uint64_t *got)
{
    struct area *a = prepare(c);

    a->orders.gpr[RBX] = va;
    start(c, ACT_read);
    *got = a->dump.gpr[RAX];
    return at_landing(c);
}

uint64_t *image_again(const struct ctx *c)
{
    uint64_t *list = host(page_alloc());
    uint64_t bytes = *(uint64_t *)host(c->image + AS_IMG_IMAGE_BYTES);

    for (unsigned i = 0; i < c->pages; i++) {
        list[i] = page_alloc();
        memcpy(host(list[i]), host(c->image + i * PAGE_SIZE), i < bytes / PAGE_SIZE ? PAGE_SIZE : 0);
    }
    return list;
}

void live_again(struct ctx *c)
{
    uint64_t bytes = *(uint64_t *)host(c->image + AS_IMG_IMAGE_BYTES);
    struct as_request req = {
        .op = AS_OP_CREATE, .psp = c->base, .list = (uint64_t)c->page, .count = c->pages,
    };

    for (unsigned i = 0; i < bytes / PAGE_SIZE; i++) {
        memcpy(host(c->page[i]), host(c->image + i * PAGE_SIZE), PAGE_SIZE);
    }
    if (tdma_do(&req) != AS_OK) {
        give_up("CREATE: %s", status_text(req.status));
    }
    c->alive = true;
    ctx_map(c, true);
}

uint32_t alloc_page(const struct ctx *c, uint64_t va, uint64_t page)
{
    static uint64_t list[1];

    list[0] = page;
    return tdma_alloc(c->base, va, list, 1);
}

void give_page(struct ctx *c, uint64_t va, uint64_t page)
{
    if (alloc_page(c, va, page) != AS_OK || command(c, AS_PORT_TAKE, va) != AS_P_OK) {
        give_up("the program gets no page");
    }
    poke(c, va, ITS_OWN);
}

void map_aliases(uint64_t page)
{
    for (unsigned i = 0; i < ALIASES; i++) {
        map_flush(ALIAS(i), page, PTE_P | PTE_W);
    }
}

void unmap_aliases(void)
{
    for (unsigned i = 0; i < ALIASES; i++) {
        unmap(ALIAS(i));
    }
}

void wait_for(volatile bool *flag)
{
    uint64_t deadline = ticks + PATIENCE;

    while (!*flag && cpus[1].job && ticks < deadline) {
        asm volatile("pause");
    }
}

/* ---- VMs ---- */

void nested_map(const struct vmcb *v, uint64_t guest, uint64_t page)
{
    struct space nested = {
        .root = v->nested_cr3, .link = PTE_P | PTE_W | PTE_U, .table = page_alloc,
    };

    map(&nested, guest, page, PTE_P | PTE_W | PTE_U);
}

struct vmcb *vm_new(void)
{
    struct ctx nobody = { 0 };

    into_vm(&nobody);
    return nobody.vm;
}

uint64_t vm_exit(struct vmcb *v, struct regs *regs)
{
    static struct vmcb host_state __attribute__((aligned(PAGE_SIZE)));

    do {
        asm volatile("vmsave" : : "a"(&host_state) : "memory");     /* svm_run() does not keep TR */
        svm_run((uint64_t)v, regs);
        asm volatile("vmload" : : "a"(&host_state) : "memory");
    } while (v->exit_code == VMEXIT_INTR);
    return v->exit_code;
}
