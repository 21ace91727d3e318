/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stays: entering and leaving contexts on several vCPUs, frames, kill.
 *
 * vCPUs x contexts x frames x the controller.  A step is what no other thread
 * can see the middle of; each is marked with the function of
 * target/i386/slb/stay.c that it stands for.
 *
 * Properties, as they are named in the assertions below:
 *   ONE    at most one vCPU is in a context (E5)
 *   DEPTH  frames below the depth are in use, the others are not (E2)
 *   ROOM   an event always finds a free frame (E5, X4)
 *   TOP    a resume pops the frame that was pushed last (E2)
 *   KEPT   a vCPU gets back what was kept of it, not of another (E3)
 *   CLEAN  outside no register holds anything of a program (X1)
 *   GONE   when a context is freed, nobody is in it (X5)
 *
 * -DBUG=x takes out one guard; "make check-model" sees that this then breaks
 * the property that stands beside it in model.py.
 */
#define E5_RUNNING 1
#define E5_LOCK 2           /* judged and entered in one go, under the lock */
#define E5_FRAMES 3
#define E2_TOP 4
#define E2_DEPTH 5
#define X1_FLUSH 6
#define X1_FIRST 7          /* flushed before the context is given up */
#define X2_LAST 8           /* the frame is complete before it is given up */
#define P4_KEPT 9
#define X4_ORDER 10
#define X5_THROW 11
#define X5_FLUSH 12
#define X5_WALK 13          /* an instruction that waited does not go on */

#ifndef BUG
#define BUG 0
#endif
#define ON(guard) (BUG != guard)

#ifndef CPUS
#define CPUS 3
#endif
#ifndef CTXS
#define CTXS 1
#endif
#ifndef FRAMES
#define FRAMES 2            /* AS_FRAMES */
#endif
#define NONE 7

/* model.py reads the name */
#define ASSERT(name, what) if :: what :: else -> printf("broken: "); printf(#name); printf("\n"); assert(false) fi

typedef Context {
    bit exists, alive, condemned;
    byte cpu, depth;
    bit frame[FRAMES + 1];  /* in use; the last one is beyond the PSP */
    byte kept[FRAMES + 1];  /* whose registers: a vCPU's */
}
typedef Cpu {
    byte ctx;
    bit busy;               /* between two points where it can be stopped */
    bit walking;            /* at such a point in the middle of an instruction */
    bit thrown;
    bit secret;             /* its registers hold something of a program */
}

Context context[CTXS];
Cpu cpu[CPUS];

/* At a point where tdma_stop_world() can stop it */
#if CPUS == 2
#define all_stand (!cpu[0].busy && !cpu[1].busy)
#else
#define all_stand (!cpu[0].busy && !cpu[1].busy && !cpu[2].busy)
#endif

inline any(which, most) { which = 0; do :: which < most - 1 -> which++ :: break od }

#define outside(v) (cpu[v].ctx == NONE && !cpu[v].walking)
#define inside(v) (cpu[v].ctx != NONE && !cpu[v].walking)
#define is_resume(c, n) (context[c].depth > 0 && n == context[c].depth - 1)
#define refused(c, n) \
    ((context[c].cpu != NONE && ON(E5_RUNNING)) || \
     (!is_resume(c, n) && context[c].depth >= FRAMES && ON(E5_FRAMES)))

/* flush_registers(): out of what was kept at this depth */
inline flush(v, c)
{
    ASSERT(KEPT, context[c].kept[context[c].depth] == v);
    cpu[v].secret = 0
}

/* The end of step_outside() and slb_event() */
inline give_up(v, c) { cpu[v].ctx = NONE; context[c].cpu = NONE }

/* as_frame_load() of frame n, the context's depth from now on */
inline pop(c, n)
{
    ASSERT(TOP, context[c].frame[n]);
    ASSERT(TOP, !context[c].frame[n + 1]);
    context[c].frame[n] = 0;
    context[c].depth = n
}

/* resume(), start(): n is the resume point that was fetched, or FRAMES */
inline begin_stay(v, c, n)
{
    if
    :: is_resume(c, n) -> pop(c, n)
    :: !is_resume(c, n) && !ON(E2_TOP) && n < context[c].depth -> pop(c, n)
    :: else ->
       if :: !ON(E2_DEPTH) -> context[c].depth = 0 :: else fi
    fi;
    context[c].kept[context[c].depth] = v;      /* keep_visor() */
    cpu[v].secret = 1
}

proctype vcpu(byte v)
{
    byte c, n, k;

    do
    :: atomic { outside(v) -> ASSERT(CLEAN, !cpu[v].secret) }

    :: atomic {                                 /* slb_enter(), why_refused() */
        outside(v) -> any(c, CTXS); any(n, FRAMES + 1);
        if
        :: !context[c].alive || refused(c, n) -> c = 0; n = 0; goto next
        :: else -> cpu[v].busy = 1
        fi;
        if :: ON(E5_LOCK) -> context[c].cpu = v :: else fi };
       atomic {
        ASSERT(ONE, context[c].cpu == v || !ON(E5_LOCK));
        for (k : 0 .. CPUS - 1) { ASSERT(ONE, cpu[k].ctx != c) }
        context[c].cpu = v; cpu[v].ctx = c; k = 0 };
       atomic { begin_stay(v, c, n); cpu[v].busy = 0; c = 0; n = 0 }

    :: atomic { inside(v) ->        /* slb_event(), push_frame() */
        c = cpu[v].ctx; cpu[v].busy = 1; n = context[c].depth;
        ASSERT(ROOM, n < FRAMES);
        ASSERT(DEPTH, !context[c].frame[n] && (n == 0 || context[c].frame[n - 1]));
        context[c].frame[n] = 1 };
       atomic { flush(v, c) };
       atomic {
        if
        :: ON(X2_LAST) -> context[c].depth = n + 1
        :: else -> give_up(v, c)
        fi };
       atomic {
        if
        :: ON(X2_LAST) -> give_up(v, c)
        :: else -> context[c].depth = n + 1
        fi;
        cpu[v].busy = 0; c = 0; n = 0 }

    :: atomic { inside(v) ->        /* slb_leave_by_jump(), step_outside() */
        c = cpu[v].ctx; cpu[v].busy = 1;
        if
        :: ON(X1_FIRST) && ON(X1_FLUSH) -> flush(v, c)
        :: else
        fi };
       atomic { give_up(v, c) };
       atomic {
        if :: !ON(X1_FIRST) -> flush(v, c) :: else fi;
        cpu[v].busy = 0; c = 0 }

    :: atomic { inside(v) ->        /* slb_resume() */
        c = cpu[v].ctx;
        if
        :: context[c].depth > 0 ->
           k = context[c].kept[context[c].depth];
           n = context[c].depth - 1;
           pop(c, n);
           if
           :: ON(P4_KEPT) -> context[c].kept[n] = k
           :: else
           fi
        :: else
        fi;
        c = 0; n = 0; k = 0 }

    :: atomic { inside(v) ->        /* slb_kill() */
        c = cpu[v].ctx; cpu[v].busy = 1;
        if :: ON(X4_ORDER) -> context[c].alive = 0 :: else fi };
       atomic { flush(v, c); give_up(v, c) };
       atomic { context[c].alive = 0; context[c].condemned = 1;
        cpu[v].busy = 0; c = 0 }

    :: atomic { inside(v) -> cpu[v].walking = 1 };  /* tlb_fill() */
       atomic { cpu[v].walking = 0;     /* abandon_if_thrown() */
        if
        :: cpu[v].thrown && ON(X5_WALK) -> skip
        :: else -> cpu[v].secret = 1
        fi;
        cpu[v].thrown = 0 }
next:  skip
    od
}

inline context_free(c)
{
    for (v : 0 .. CPUS - 1) { ASSERT(GONE, cpu[v].ctx != c) }
    ASSERT(GONE, context[c].cpu == NONE);
    for (v : 0 .. FRAMES) { context[c].frame[v] = 0; context[c].kept[v] = 0 }
    context[c].depth = 0; context[c].exists = 0; context[c].alive = 0;
    context[c].condemned = 0; v = 0
}

/* slb_throw_out() of each vCPU, as_hide(): step_hide() of tdma-requests.c */
inline step_hide(c)
{
    for (v : 0 .. CPUS - 1) {
        if
        :: cpu[v].ctx == c && ON(X5_THROW) ->
           if :: ON(X5_FLUSH) -> flush(v, c) :: else fi;
           give_up(v, c);
           cpu[v].thrown = cpu[v].walking
        :: else
        fi
    }
    context[c].alive = 0; context[c].condemned = 0; v = 0
}

/* tdma_run(): one thing after the other; what is condemned comes first */
proctype controller()
{
    byte c, v;

    do
    :: atomic { any(c, CTXS);                   /* tdma_do_create() */
        if
        :: !context[c].exists ->
           context[c].exists = 1; context[c].alive = 1; context[c].cpu = NONE
        :: else
        fi;
        c = 0 }
    :: atomic { any(c, CTXS);                   /* tdma_kill_context() */
        if :: context[c].alive -> skip :: else -> c = 0; goto next fi };
       atomic { all_stand -> step_hide(c) };        /* tdma_stop_world() */
       atomic { context_free(c); c = 0 }        /* bury() */
    :: atomic { any(c, CTXS);                   /* tdma_bury_condemned() */
        if :: context[c].condemned -> context_free(c) :: else fi;
        c = 0 }
next:  skip
    od
}

init
{
    byte i;

    atomic {
        for (i : 0 .. CTXS - 1) { context[i].cpu = NONE }
        for (i : 0 .. CPUS - 1) { cpu[i].ctx = NONE }
        for (i : 0 .. CPUS - 1) { run vcpu(i) }
        i = 0;
        run controller()
    }
}
