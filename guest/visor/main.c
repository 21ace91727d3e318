/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Boot: what QEMU hands over, then one OS from loading to its end. */
#include "visor.h"

#define PVH_MAGIC       0x336ec578
#define MEMORY_RAM      1
#define DEBUG_EXIT      0xf4

/* As Xen's public start_info.h has it */
struct start_info {
    uint32_t magic, version, flags, modules;
    uint64_t module_list, cmdline, rsdp, memory_map;
    uint32_t memory_entries, reserved;
};

struct module {
    uint64_t start, bytes, cmdline, reserved;
};

struct memory {
    uint64_t start, bytes;
    uint32_t type, reserved;
};

void main(struct start_info *info);
extern uint8_t visor_start[], visor_end[];
struct options options;

_Noreturn void end(unsigned value)
{
    if (options.exit) {
        outb(DEBUG_EXIT, value);
    }
    for (;;) {
        wait_for_interrupt();
    }
}

_Noreturn void fail(const char *f, ...)
{
    char text[400];
    va_list ap;

    va_start(ap, f);
    vformat(text, sizeof(text), f, ap);
    va_end(ap);
    say("stopped: %s", text);
    end(END_FAILED);
}

static bool is_word(const char *at, const char *word)
{
    while (*word && *at == *word) {
        at++;
        word++;
    }
    return !*word && (!*at || *at == ' ');
}

static bool *option(const char *at)
{
    static const struct {
        const char *word;
        bool *set;
    } words[] = {
        { "open", &options.open }, { "attack", &options.attack },
        { "kill", &options.kill }, { "exit", &options.exit },
        { "wait", &options.wait }, { "selftest", &options.selftest },
    };

    for (unsigned i = 0; i < COUNT(words); i++) {
        if (is_word(at, words[i].word)) {
            return words[i].set;
        }
    }
    return NULL;
}

static void unknown(const char *at)
{
    char word[40];
    unsigned n = 0;

    while (at[n] && at[n] != ' ' && n < sizeof(word) - 1) {
        word[n] = at[n];
        n++;
    }
    word[n] = 0;
    say("I do not know the word '%s' of the command line", word);
}

static void read_options(const char *at)
{
    while (*at) {
        bool *set = *at == ' ' ? NULL : option(at);

        if (set) {
            *set = true;
        } else if (*at != ' ') {
            unknown(at);
        }
        while (*at && *at != ' ') {
            at++;
        }
        while (*at == ' ') {
            at++;
        }
    }
}

/* The memory from the 'visor's end on is free, up to the OS image that QEMU put at its top */
static void find_memory(struct start_info *info, struct module *image)
{
    struct memory *m = host(info->memory_map);
    uint64_t end_of_me = (uint64_t)visor_end;

    for (uint32_t i = 0; i < info->memory_entries; i++) {
        uint64_t top = m[i].start + m[i].bytes;
        if (m[i].type == MEMORY_RAM && m[i].start <= end_of_me && top > end_of_me) {
            if (image && image->start >= end_of_me && image->start < top) {
                top = image->start;
            }
            mem_init(end_of_me, top);
            say("%lu MiB of memory, %lu MiB of them free", (m[i].start + m[i].bytes) / MIB,
                mem_left() / MIB);
            return;
        }
    }
    fail("the memory map does not have the memory I run in");
}

static void selftest(void)
{
    if (!svm_selftest()) {
        fail("a guest in ordinary memory does not run as it should");
    }
    say("selftest passed");
    end(END_OK);
}

void main(struct start_info *info)
{
    console_init();
    say("booted on the bare metal; nobody needs to trust me");
    if (info->magic != PVH_MAGIC || info->version < 1) {
        fail("not started by QEMU's -kernel (PVH)");
    }
    if (info->cmdline) {
        read_options(host(info->cmdline));
    }
    struct module *image = info->modules ? host(info->module_list) : NULL;
    find_memory(info, image);
    trap_init();
    svm_init();
    if (options.selftest) {
        selftest();
    }
    if (!tdma_init()) {
        fail("this machine has no trusted DMA controller; start QEMU with -machine appsheath");
    }
    if (!image) {
        fail("there is no OS to run; give QEMU one with -initrd os.sheath");
    }
    vm_load(image->start, image->bytes);
    vm_run();
    say("the end");
    end(vm.exit_code || contained != attacks ? END_FAILED : END_OK);
}
