/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Boot: what QEMU hands over, then one OS from loading to its end. */
#include "visor.h"

#define DEBUG_EXIT      0xf4

void main(struct start_info *info);
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
        { "wait", &options.wait }, { "desk", &options.desk }, { "stale", &options.stale },
        { "selftest", &options.selftest },
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
    pvh_check(info);
    read_options(pvh_words(info));
    const struct module *image = pvh_image(info);
    pvh_find_memory(info);
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
    if (options.desk) {
        desk_run();
    }
    vm_run();
    say("the end");
    end(vm.exit_code || contained != attacks ? END_FAILED : END_OK);
}
