/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What QEMU's PVH loader hands over: memory, the command line, an image. */
#include "visor.h"

#define PVH_MAGIC       0x336ec578
#define MEMORY_RAM      1

/* As Xen's public start_info.h has it */
struct start_info {
    uint32_t magic, version, flags, modules;
    uint64_t module_list, cmdline, rsdp, memory_map;
    uint32_t memory_entries, reserved;
};

struct memory {
    uint64_t start, bytes;
    uint32_t type, reserved;
};

extern uint8_t visor_end[];

void pvh_check(const struct start_info *info)
{
    if (info->magic != PVH_MAGIC || info->version < 1) {
        fail("not started by QEMU's -kernel (PVH)");
    }
}

const char *pvh_words(const struct start_info *info)
{
    return info->cmdline ? host(info->cmdline) : "";
}

const struct module *pvh_image(const struct start_info *info)
{
    return info->modules ? host(info->module_list) : NULL;
}

/* The memory from the 'visor's end on is free, up to the image that QEMU put at its top */
void pvh_find_memory(const struct start_info *info)
{
    const struct memory *m = host(info->memory_map);
    const struct module *image = pvh_image(info);
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
