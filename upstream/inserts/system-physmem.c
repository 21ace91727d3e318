# SPDX-License-Identifier: GPL-2.0-or-later
file   system/physmem.c

rule   A6
why    A device holds a pointer to guest memory from here on: a protected page is refused, another is pinned.
test   qtest appsheath-arbiter-test A6: a page under DMA is BUSY
within |void *address_space_map(AddressSpace *as,
after  |    fuzz_dma_read_cb(addr, *plen, mr);
insert |    if (!appsheath_dma_map(mr, xlat, *plen)) {
insert |        memory_region_unref(mr);
insert |        *plen = 0;
insert |        return NULL;
insert |    }

rule   A6
why    The device lets go: the page is not pinned any more.
test   qtest appsheath-arbiter-test A6: a page is no longer BUSY after the DMA
within |void address_space_unmap(AddressSpace *as, void *buffer, hwaddr len,
after  |    if (mr != NULL) {
insert |        appsheath_dma_unmap(mr, addr1, len);
