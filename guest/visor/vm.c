/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The OS's VM: memory, the trusted context in it, and what its exits ask for.
 *
 * Guest-physical memory: ordinary memory at 0, then from WINDOW_GPA on the
 * context's pages in the order in which the 'visor gave them.  The guest's
 * page tables lie in ordinary memory and are the 'visor's to change.
 */
#include "visor.h"

#define GDT_GPA         0x1000
#define STACK_TOP       0x8000
#define TABLES_GPA      0x10000
#define TABLES_END      0x100000
#define INFO_GPA        0x100000
#define STUB_GPA        0x101000
#define SHARED_GPA      0x110000
#define SHARED_BYTES    (1 * MIB)
#define WINDOW_GPA      (4 * GIB)
#define OS_TIMER_VECTOR 0x40
#define DEFAULT_BASE    (1 * MIB)       /* in the window, for an image that takes any */
#define FIRST_JUMP      0x1abc          /* somewhere in the middle of its code */
#define FLAGS_LEFT      0x3202          /* bit 1, IF, IOPL */
#define RESUMES_END     (AS_RESUME_OFF + AS_FRAMES * AS_RESUME_STEP)

struct vm vm;
static struct space guest_space, nested_space;
static uint64_t tables_next = TABLES_GPA;

/* ---- memory ---- */

static uint64_t guest_table(void)
{
    if (tables_next == TABLES_END) {
        fail("the OS uses more of the window than this 'visor has page tables for");
    }
    uint64_t table = vm.ordinary + tables_next;
    tables_next += PAGE_SIZE;
    return table;
}

static void ordinary_init(void)
{
    vm.ordinary = pages_alloc(ORDINARY_BYTES / PAGE_SIZE, 2 * MIB);
    nested_space = (struct space) {
        .root = page_alloc(), .link = PTE_P | PTE_W | PTE_U, .table = page_alloc,
    };
    guest_space = (struct space) {
        .offset = vm.ordinary, .link = PTE_P | PTE_W, .table = guest_table,
    };
    guest_space.root = guest_table();
    for (uint64_t at = 0; at < ORDINARY_BYTES; at += 2 * MIB) {
        map_2m(&nested_space, at, vm.ordinary + at, PTE_P | PTE_W | PTE_U);
        map_2m(&guest_space, at, at, PTE_P | PTE_W);
    }
    uint64_t *gdt = host(vm.ordinary + GDT_GPA);
    gdt[1] = 0x00af9b000000ffff;
    gdt[2] = 0x00cf93000000ffff;
}

/* The guest's tables permit reading and running; only the SLB permits more (W3) */
static void map_owned(unsigned i)
{
    uint64_t gpa = WINDOW_GPA + i * PAGE_SIZE;

    map(&nested_space, gpa, vm.owned[i].page, PTE_P | PTE_W | PTE_U);
    map(&guest_space, vm.owned[i].va, gpa, PTE_P);
}

static struct owned *owned_at(uint64_t va)
{
    for (unsigned i = 0; i < vm.owned_count; i++) {
        if (vm.owned[i].va == (va & PAGE_MASK)) {
            return &vm.owned[i];
        }
    }
    return NULL;
}

uint64_t vm_page_of(uint64_t va)
{
    struct owned *o = owned_at(va);

    return o && o->live ? o->page + (va & ~PAGE_MASK) : 0;
}

static bool own(uint64_t va, uint64_t page)
{
    struct owned *o = owned_at(va);

    if (!o) {
        if (vm.owned_count == OWNED_MAX) {
            return false;
        }
        o = &vm.owned[vm.owned_count++];
    }
    *o = (struct owned) { va, page, true };
    map_owned(o - vm.owned);
    return true;
}

/* ---- loading ---- */

static uint64_t header(uint64_t image, unsigned offset)
{
    return *(uint64_t *)host(image + offset);
}

/* Looks at the image only as far as the 'visor must; hardware judges it (L) */
static uint64_t image_pages(uint64_t image, uint64_t bytes)
{
    uint64_t memory = bytes >= PAGE_SIZE ? header(image, AS_IMG_MEMORY_BYTES) : 0;

    if (bytes < PAGE_SIZE || header(image, AS_IMG_MAGIC_OFF) != AS_IMG_MAGIC) {
        fail("the file given by -initrd is no AppSheath image");
    }
    if (memory < bytes || memory & ~PAGE_MASK || memory / PAGE_SIZE > OWNED_MAX / 2) {
        fail("the image's header asks for %lu bytes of memory for %lu bytes of image",
             memory, bytes);
    }
    return memory / PAGE_SIZE;
}

static void copy_image(uint64_t image, uint64_t bytes, uint64_t *list)
{
    for (uint64_t i = 0; i < vm.image_pages; i++) {
        list[i] = page_alloc();
        if (i * PAGE_SIZE < bytes) {
            uint64_t left = bytes - i * PAGE_SIZE;
            memcpy(host(list[i]), host(image + i * PAGE_SIZE),
                   left < PAGE_SIZE ? left : PAGE_SIZE);
        }
    }
}

static void wait_for_key(void)
{
    struct note n = { 0 };

    say("no user key is plugged in: waiting for one");
    while (n.what != AS_NOTE_KEY) {
        keys_poll();
        if (!tdma_next_note(&n)) {
            wait_for_interrupt();
        }
    }
}

static void create(uint64_t *list)
{
    struct as_request req = {
        .op = AS_OP_CREATE, .flags = options.open || options.desk ? AS_CREATE_ALLOW_OPEN : 0,
        .psp = vm.base, .list = (uint64_t)list, .count = vm.image_pages,
    };

    say("asking the trusted DMA controller to make %lu pages a context at 0x%lx",
        vm.image_pages, vm.base);
    while (tdma_do(&req) == AS_E_NO_KEY && options.wait) {
        wait_for_key();
    }
    if (req.status != AS_OK) {
        fail("no trusted context: %s (status %u)", status_text(req.status), req.status);
    }
    vm.open = req.result == AS_RESULT_OPEN;
    say("granted: %s", vm.open ? "an open context, which hides nothing from me"
                               : "a trusted context, out of my reach from now on");
}

static void boot_info_init(void)
{
    vm.info = host(vm.ordinary + INFO_GPA);
    *vm.info = (struct boot_info) {
        .magic = BOOT_MAGIC,
        .base = vm.base,
        .ordinary_bytes = ORDINARY_BYTES,
        .stub = STUB_GPA,
        .shared = SHARED_GPA,
        .shared_bytes = SHARED_BYTES,
        .timer_vector = OS_TIMER_VECTOR,
    };
}

void vm_load(uint64_t image, uint64_t bytes)
{
    vm.image_pages = image_pages(image, bytes);
    uint64_t *list = host(pages_alloc((vm.image_pages * 8 + PAGE_SIZE - 1) / PAGE_SIZE,
                                      PAGE_SIZE));

    vm.base = header(image, AS_IMG_LINK_BASE);
    vm.text_bytes = header(image, AS_IMG_TEXT_BYTES);
    if (!vm.base) {
        vm.base = tdma_window_base() + DEFAULT_BASE;
    }
    ordinary_init();
    copy_image(image, bytes, list);
    create(list);
    for (uint64_t i = 0; i < vm.image_pages; i++) {
        own(vm.base + i * PAGE_SIZE, list[i]);
    }
    boot_info_init();
    vm.vmcb = svm_vmcb(nested_space.root, TABLES_GPA);
    vm.vmcb->rip = vm.base + FIRST_JUMP;
    vm.vmcb->rsp = STACK_TOP;
    vm.regs.rdi = INFO_GPA;
    say("jumping into the middle of the OS, to 0x%lx", vm.vmcb->rip);
}

/* ---- starting the OS for something, and going back ---- */

bool vm_at_resume_point(void)
{
    uint64_t off = vm.vmcb->rip - vm.base;

    return off >= AS_RESUME_OFF && off < RESUMES_END;
}

bool vm_start(uint64_t rip, uint64_t rdi)
{
    if (vm.saved_count == SAVED_MAX) {
        return false;
    }
    vm.saved[vm.saved_count++] = (struct saved) {
        vm.regs, vm.vmcb->rax, vm.vmcb->rsp, vm.vmcb->rip, vm.vmcb->rflags
    };
    vm.vmcb->rip = rip;
    vm.vmcb->rflags = RFLAGS_1;
    vm.regs = (struct regs) { .rdi = rdi };
    return true;
}

static void go_back(const char *why)
{
    if (!vm.saved_count) {
        fail("the OS says %s, but was not asked for anything", why);
    }
    struct saved *s = &vm.saved[--vm.saved_count];
    vm.regs = s->regs;
    vm.vmcb->rax = s->rax;
    vm.vmcb->rsp = s->rsp;
    vm.vmcb->rip = s->rip;
    vm.vmcb->rflags = s->rflags;
}

/* ---- hypercalls ---- */

static void answer(uint64_t status)
{
    vm.vmcb->rax = status;
}

static void hc_print(void)
{
    uint64_t at = vm.regs.rdi, len = vm.regs.rsi;

    if (at < ORDINARY_BYTES && len <= ORDINARY_BYTES - at) {
        say_os(host(vm.ordinary + at), len);
    }
    answer(0);
}

/* Dirty pages on purpose: hardware zeroes them before the OS sees them (A8) */
static uint64_t dirty_page(void)
{
    uint64_t page = page_alloc();

    memset(host(page), 0xd1, PAGE_SIZE);
    return page;
}

static uint32_t alloc(uint64_t va, uint64_t count)
{
    static uint64_t list[OWNED_MAX];

    if (!count || count > OWNED_MAX - vm.owned_count) {
        return AS_E_FULL;
    }
    for (uint64_t i = 0; i < count; i++) {
        list[i] = dirty_page();
    }
    uint32_t status = tdma_alloc(vm.base, va, list, count);
    for (uint64_t i = 0; i < count; i++) {
        if (status != AS_OK) {
            page_free(list[i]);
        } else {
            own(va + i * PAGE_SIZE, list[i]);
        }
    }
    return status;
}

static void hc_alloc(void)
{
    uint64_t va = vm.regs.rdi, count = vm.regs.rsi;
    uint32_t status = alloc(va, count);

    say("the OS wants %lu pages at 0x%lx: %s", count, va, status_text(status));
    answer(status);
}

/*
 * In an open context hardware opens no channel, so the 'visor plays both devices (L5).
 * The LCD it cannot reach (T2): the OS's line is one that nobody sees.
 */
static uint32_t play_device(uint32_t op, bool keys, uint64_t va, uint64_t len)
{
    if (op == AS_OP_OPEN) {
        say("hardware opens no channel for an open context: I play the %s",
            keys ? "keyboard" : "LCD, and its line is seen by nobody");
    }
    if (keys) {
        op == AS_OP_OPEN ? keys_open(va, len) : keys_close();
    }
    return AS_OK;
}

static void attack_channel(uint32_t op, bool keys)
{
    if (!keys && op == AS_OP_CLOSE) {
        attack_question_end();
    } else if (keys && options.attack && !vm.open) {
        op == AS_OP_OPEN ? attack_keys_begin() : attack_keys_end();
    }
}

static void hc_channel(uint32_t op)
{
    uint64_t device = vm.regs.rdi >> 8, direction = vm.regs.rdi & 0xff;
    uint64_t va = vm.regs.rsi, len = vm.regs.rdx;
    bool keys = device == AS_DEV_KEYBOARD;
    uint32_t status = AS_OK;

    if (op == AS_OP_OPEN || !vm.open) {
        status = tdma_channel(op, vm.base, device, direction, va, len);
    }
    if (vm.open && (op == AS_OP_CLOSE || status == AS_E_OPEN_CONTEXT)) {
        status = play_device(op, keys, va, len);
    }
    say("the OS wants its %s channel %s: %s", keys ? "keyboard" : "LCD",
        op == AS_OP_OPEN ? "opened" : "closed", status_text(status));
    if (status == AS_OK) {
        attack_channel(op, keys);
    }
    answer(status);
}

static void hc_open(void)
{
    hc_channel(AS_OP_OPEN);
}

static void hc_close(void)
{
    hc_channel(AS_OP_CLOSE);
}

static void hc_wait(void)
{
    wait_for_interrupt();
    answer(0);
}

static void hc_done(void)
{
    uint64_t va = vm.regs.rdi;

    go_back("that it is done");
    if (options.stale) {
        attack_stale(va);
    }
}

static void hc_refused(void)
{
    say("the OS refused to run at 0x%lx", vm.regs.rdi);
    vm.refusals++;
    vm.refused_at = vm.regs.rdi;
    go_back("that it refuses");
}

static void hc_exit(void)
{
    vm.exit_code = vm.regs.rdi;
    vm.over = true;
    say("the OS ended with exit code %lu", vm.exit_code);
}

static void phase_swap(uint64_t va)
{
    say("the OS can do without the page at 0x%lx: asking it to release it", va);
    vm_start(vm.info->release_entry, va & PAGE_MASK);
}

static void phase_ask(void)
{
    say("the OS waits for an answer");
    if (options.attack || options.desk) {
        attack_question();
    }
}

static void phase_idle(uint64_t va)
{
    say("the OS is up, with a secret in its page at 0x%lx", va);
    vm.secret_va = va & PAGE_MASK;
    vm.idle_since = ticks;
    if (options.attack) {
        attack_stopped();
    }
}

static void hc_phase(void)
{
    uint64_t phase = vm.regs.rdi, va = vm.regs.rsi;

    answer(0);
    if (phase == PHASE_BOOTED) {
        say("the OS has booted");
    } else if (phase == PHASE_SWAP) {
        phase_swap(va);
    } else if (phase == PHASE_INPUT) {
        say("the OS waits for keys");
    } else if (phase == PHASE_ASK) {
        phase_ask();
    } else if (phase == PHASE_IDLE) {
        phase_idle(va);
    }
}

static void hypercall(void)
{
    static void (*const calls[])(void) = {
        [HC_PRINT] = hc_print, [HC_ALLOC] = hc_alloc, [HC_OPEN] = hc_open,
        [HC_CLOSE] = hc_close, [HC_WAIT] = hc_wait, [HC_DONE] = hc_done,
        [HC_EXIT] = hc_exit, [HC_PHASE] = hc_phase, [HC_REFUSED] = hc_refused,
    };
    uint64_t number = vm.vmcb->rax;

    if (vm.vmcb->rip >= ORDINARY_BYTES) {
        fail("a hypercall from inside the context, at 0x%lx", vm.vmcb->rip);
    }
    vm.vmcb->rip += 3;
    if (number >= COUNT(calls) || !calls[number]) {
        say("the OS asks for hypercall %lu, which there is not", number);
        answer(AS_E_OP);
        return;
    }
    calls[number]();
}

/* ---- exits ---- */

static void take_back(const struct note *n)
{
    struct owned *o = owned_at(n->va);

    if (!o || !o->live || o->page != n->page) {
        fail("hardware says that page 0x%lx was released, which I never gave", n->page);
    }
    o->live = false;
    map(&nested_space, WINDOW_GPA + (o - vm.owned) * PAGE_SIZE, 0, 0);
    say("the page at 0x%lx came back to me and reads as %s", n->va,
        all_zero(host(n->page), PAGE_SIZE) ? "zeros" : "something else than zeros");
    page_free(n->page);
}

static void read_notes(void)
{
    struct note n;

    while (tdma_next_note(&n)) {
        if (n.what == AS_NOTE_RELEASED && n.psp == vm.base) {
            take_back(&n);
        } else if (n.what == AS_NOTE_KILLED && n.psp == vm.base && !vm.over) {
            fail("hardware killed the OS's context");
        } else if (n.what == AS_NOTE_KEY) {
            say("a user key came or went");
        }
    }
}

void vm_give_back(uint64_t va, const char *what)
{
    uint32_t status;

    read_notes();
    status = alloc(va, 1);
    say("the OS %s the page at 0x%lx that it had released: a new page: %s", what, va,
        status_text(status));
    if (status != AS_OK || !vm_start(vm.info->return_entry, va)) {
        fail("cannot give the OS its page back");
    }
}

/* F1: the OS touched a window page that is not there */
static void page_fault(void)
{
    uint64_t va = vm.vmcb->exit_info_2 & PAGE_MASK;
    struct owned *o = owned_at(va);

    read_notes();
    if (!o || o->live || !vm_at_resume_point()) {
        fail("the OS faulted: address 0x%lx, error code 0x%lx, RIP 0x%lx",
             vm.vmcb->exit_info_2, vm.vmcb->exit_info_1, vm.vmcb->rip);
    }
    vm_give_back(va, "touched");
}

/* X1: what is in the registers when the OS was inside its context */
static bool flushed(void)
{
    return all_zero(&vm.regs, sizeof(vm.regs)) && all_zero(svm_ymm, sizeof(svm_ymm)) &&
           !vm.vmcb->rax && !(vm.vmcb->rflags & ~FLAGS_LEFT);
}

static void look_at_registers(void)
{
    if (vm_at_resume_point()) {
        vm.exits_seen++;
        vm.leaks += !flushed();
    }
}

static void preempted(void)
{
    static bool said;

    if (said || !vm_at_resume_point()) {
        return;
    }
    said = true;
    say("my timer preempted the OS: RIP is its resume point 0x%lx, its registers %s",
        vm.vmcb->rip, flushed() ? "are all zero" : "show something");
}

static void unexpected(void)
{
    fail("the OS left for a reason I do not serve: #VMEXIT 0x%lx, 0x%lx, 0x%lx, RIP 0x%lx",
         vm.vmcb->exit_code, vm.vmcb->exit_info_1, vm.vmcb->exit_info_2, vm.vmcb->rip);
}

static void handle_exit(void)
{
    look_at_registers();
    switch (vm.vmcb->exit_code) {
    case VMEXIT_INTR:
        preempted();
        break;
    case VMEXIT_VMMCALL:
        hypercall();
        break;
    case VMEXIT_HLT:
        vm.vmcb->rip += !vm_at_resume_point();  /* else the frame has the true one */
        wait_for_interrupt();
        break;
    case VMEXIT_EXCEPTION + 14:
        page_fault();
        break;
    default:
        unexpected();
    }
}

/* The guest's own timer: one injection a tick, when it takes interrupts */
static void inject_timer(void)
{
    bool takes = vm.vmcb->rflags & RFLAGS_IF && !(vm.vmcb->int_state & 1);

    if (vm.timer_seen != ticks && takes && !vm.saved_count) {
        vm.timer_seen = ticks;
        svm_inject(vm.vmcb, OS_TIMER_VECTOR);
    }
}

void vm_step(void)
{
    keys_poll();
    read_notes();
    inject_timer();
    svm_run((uint64_t)vm.vmcb, &vm.regs);
    handle_exit();
}

/* ---- from boot to the end ---- */

void vm_destroy(void)
{
    uint64_t pages = 0, dirty = 0;
    uint32_t status = tdma_destroy(vm.base);

    vm.over = true;
    if (status != AS_OK) {
        fail("DESTROY: %s", status_text(status));
    }
    for (unsigned i = 0; i < vm.owned_count; i++) {
        if (vm.owned[i].live) {
            pages++;
            dirty += !all_zero(host(vm.owned[i].page), PAGE_SIZE);
        }
    }
    if (dirty || tdma_contexts()) {
        fail("killed the OS, but %lu of its %lu pages are not zero and %u contexts live",
             dirty, pages, tdma_contexts());
    }
    say("killed the OS: all of its %lu pages read as zeros", pages);
}

/* What the 'visor does once the OS computes on its own, tick by tick */
static bool idle_is_done(void)
{
    static bool acted;

    if (!vm.idle_since || ticks < vm.idle_since + TIMER_HZ / 4 || !vm_at_resume_point()) {
        return false;
    }
    if (acted) {
        return true;
    }
    acted = true;
    vm.idle_since = ticks;      /* after that it runs on for as long again */
    if (vm.open) {
        show_open_memory();
    } else if (options.attack) {
        attack_preempted();
    }
    return false;
}

void vm_run(void)
{
    while (!vm.over && !idle_is_done()) {
        vm_step();
    }
    if (vm.over) {
        return;
    }
    say("the OS still runs, unharmed");
    if (options.attack && !vm.open) {
        attack_verdict();
    }
    if (options.kill) {
        vm_destroy();
    }
    while (!vm.over && !options.exit) {
        vm_step();
    }
}
