//! Global allocator: mimalloc (feature `mimalloc`, on by default), set up after the first reply.
//!
//! mimalloc's set-up reads /proc and /sys, maps 66 MiB and touches a dozen pages. Until the first
//! reply is out, a small static arena serves instead: it hands memory out in order and never reuses
//! it. Then [`settle`] sets mimalloc up, and mimalloc serves every later allocation. Blocks of the
//! arena stay valid; freeing one does nothing.
//!
//! The thread that sets mimalloc up is its main thread from then on. If that thread ends, the next
//! thread to allocate finds no main heap and the process dies. So only a thread that never ends
//! does it: the process's main thread, or a thread made for it where another thread is the first to
//! need more than the arena has (a thread that `Init::BeforeListening` or a first handler starts).
//!
//! mimalloc would set itself up before `main`, from an ELF constructor, unless its C code is
//! compiled with `-DMI_PRIM_HAS_PROCESS_ATTACH` (.cargo/config.toml; the template carries the same
//! line, because such flags do not travel with a crate). Where it is compiled without, the start
//! pays for that, and all else is the same: the arena serves until [`settle`], which then finds
//! mimalloc set up and sets its options. The tests for the host's own target are built so. On other
//! systems than Linux the allocator is the system's: nothing is deployed there.

/// Sets the allocator up for the rest of the process's life. Called once the first reply is out; a
/// full arena calls it earlier.
pub(crate) fn settle() {
    #[cfg(all(feature = "mimalloc", target_os = "linux"))]
    early::settle();
}

/// Threads that the allocator has made.
#[allow(dead_code)] // the transport of other systems does not use it
pub(crate) fn threads() -> usize {
    #[cfg(all(feature = "mimalloc", target_os = "linux"))]
    return early::THREADS.load(std::sync::atomic::Ordering::Relaxed);
    #[cfg(not(all(feature = "mimalloc", target_os = "linux")))]
    return 0;
}

#[cfg(all(feature = "mimalloc", target_os = "linux"))]
mod early {
    // its exact version is pinned: the two symbols below are not its public interface
    use libmimalloc_sys as _;
    use mimalloc::MiMalloc;
    use std::alloc::{GlobalAlloc, Layout};
    use std::cell::UnsafeCell;
    use std::mem::MaybeUninit;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Mutex, PoisonError};

    #[global_allocator]
    static GLOBAL: Early = Early;

    /// Size of the arena, in bytes; untouched pages of it cost nothing. A first event with its
    /// reply takes some 10 KiB.
    const ARENA_BYTES: usize = 128 * 1024;

    /// Least alignment of a block, as malloc's: the unwinder writes to a panic's own block with
    /// instructions that rely on it.
    const MALLOC_ALIGN: usize = 16;

    /// Offset of the first byte of the arena not handed out. Together with [`SETTLED`] (whether
    /// mimalloc serves) it stands apart from the arena's bytes: reading a page that was never
    /// written costs a fault, and writing it another; these lie with other small variables, in a
    /// page that is written early.
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    static SETTLED: AtomicBool = AtomicBool::new(false);
    /// Threads made by `set_up_elsewhere`.
    pub(super) static THREADS: AtomicUsize = AtomicUsize::new(0);

    #[repr(C, align(64))]
    struct Arena(UnsafeCell<[MaybeUninit<u8>; ARENA_BYTES]>);

    // JUSTIFICATION: bytes that are handed out cannot lie in a type that Rust shares.
    // SAFETY: the bytes are handed out once each, by an atomic counter; the arena itself never
    // reads or writes them.
    unsafe impl Sync for Arena {}

    static ARENA: Arena = Arena(UnsafeCell::new([MaybeUninit::uninit(); ARENA_BYTES]));

    // JUSTIFICATION: mimalloc's crate does not declare them.
    // SAFETY: the signatures are those of src/init.c at the pinned version.
    unsafe extern "C" {
        /// What mimalloc's ELF constructor would call (src/init.c). The first thread to call it is
        /// mimalloc's main one.
        fn _mi_auto_process_init();
        /// Whether that has happened (src/init.c).
        static _mi_process_is_initialized: bool;
        /// Sets an option that the environment has not set (src/options.c).
        fn mi_option_set_default(option: core::ffi::c_int, value: core::ffi::c_long);
    }

    /// `mi_option_purge_delay`'s number (include/mimalloc.h at the pinned version), in
    /// milliseconds: how long freed pages stay. mimalloc looks at the clock only when more is
    /// freed, and an idle instance frees nothing: with its default of a second, bodies of 6 MiB
    /// left 213 MiB resident for ever. At 0 they are returned at once.
    const PURGE_DELAY: core::ffi::c_int = 15;
    /// `mi_option_arena_reserve`'s number, in KiB: how much is reserved at a time. mimalloc touches
    /// the description of the reserved memory at once: with the default of 1 GiB and huge pages
    /// that was 4 MiB.
    const ARENA_RESERVE: core::ffi::c_int = 23;
    /// `mi_option_allow_thp`'s number. With transparent huge pages the first touch clears 2 MiB.
    const ALLOW_THP: core::ffi::c_int = 43;

    pub(super) fn settle() {
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        if SETTLED.load(Ordering::Acquire) {
            return;
        }
        if is_main_thread() {
            set_up();
        } else {
            set_up_elsewhere();
        }
    }

    /// Whether this is the main thread, which ends only with the process.
    fn is_main_thread() -> bool {
        // JUSTIFICATION: std does not say which thread is the main one.
        // SAFETY: two calls without arguments.
        unsafe { libc::getpid() == libc::gettid() }
    }

    /// Makes the calling thread mimalloc's main one. That thread must never end.
    fn set_up() {
        // JUSTIFICATION: there is no public call that also arranges for threads to give their
        // memory back.
        // SAFETY: the flag is written by the call below only, or by the constructor before main;
        // the call is made once (see `settle`), before anything is allocated by mimalloc, which is
        // what the constructor would have done. The option is a number of the pinned version, set
        // before mimalloc serves any allocation.
        unsafe {
            if std::ptr::read_volatile(&raw const _mi_process_is_initialized) {
                mi_option_set_default(ARENA_RESERVE, 64 * 1024);
                mi_option_set_default(ALLOW_THP, 0);
                libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0);
            } else {
                _mi_auto_process_init();
            }
            mi_option_set_default(PURGE_DELAY, 0);
        }
        SETTLED.store(true, Ordering::Release);
    }

    /// Sets mimalloc up on a new thread that never ends, and waits until it is done. If the system
    /// gives no thread, the arena stays the only memory: this allocation fails, and the next one
    /// tries again.
    #[cold]
    fn set_up_elsewhere() {
        /// mimalloc reads files of /proc and /sys on it.
        const STACK_BYTES: usize = 128 * 1024;

        extern "C" fn stay(_: *mut libc::c_void) -> *mut libc::c_void {
            set_up();
            loop {
                // JUSTIFICATION: std's ways to wait allocate, or may return.
                // SAFETY: it takes no arguments.
                unsafe { libc::pause() };
            }
        }

        // JUSTIFICATION: std's threads are allocated by the allocator that is being set up here.
        // SAFETY: the attributes are initialised before they are used and outlive the call that
        // reads them; the C library maps the thread's memory itself; `stay` takes no argument,
        // never returns, and does not unwind.
        let made = unsafe {
            let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
            libc::pthread_attr_init(attributes.as_mut_ptr());
            libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), STACK_BYTES);
            libc::pthread_attr_setdetachstate(
                attributes.as_mut_ptr(),
                libc::PTHREAD_CREATE_DETACHED,
            );
            let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
            libc::pthread_create(
                thread.as_mut_ptr(),
                attributes.as_ptr(),
                stay,
                std::ptr::null_mut(),
            ) == 0
        };
        THREADS.fetch_add(made.into(), Ordering::Relaxed);
        // Takes some 50 microseconds, once in the life of some processes.
        while made && !SETTLED.load(Ordering::Acquire) {
            // JUSTIFICATION: std's ways to wait allocate.
            // SAFETY: it takes no arguments.
            unsafe { libc::sched_yield() };
        }
    }

    struct Early;

    impl Early {
        /// Memory from the arena; `None` if it is full, and mimalloc serves from now on.
        #[cold]
        fn bump(layout: Layout) -> Option<*mut u8> {
            let block = hand_out(&NEXT, ARENA.0.get() as usize, layout);
            if block.is_none() {
                settle(); // more is needed before the first reply is out
            }
            // JUSTIFICATION: an allocator deals in pointers.
            // SAFETY: the offset is within the arena.
            block.map(|start| unsafe { ARENA.0.get().cast::<u8>().add(start) })
        }
    }

    /// Takes a block from an arena at `base`, all of whose bytes from `next` on were never handed
    /// out. Returns the block's offset.
    fn hand_out(next: &AtomicUsize, base: usize, layout: Layout) -> Option<usize> {
        let mut from = next.load(Ordering::Relaxed);
        loop {
            let start =
                (base + from).checked_next_multiple_of(layout.align().max(MALLOC_ALIGN))? - base;
            let end = start.checked_add(layout.size()).filter(|end| *end <= ARENA_BYTES)?;
            match next.compare_exchange_weak(from, end, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(start),
                Err(moved) => from = moved,
            }
        }
    }

    /// Whether the block at offset `start` can have `new` bytes in place: yes if it becomes
    /// smaller, or if it is the last one and there is room. The bytes that a smaller block leaves
    /// are not handed out again: they may hold anything, and `alloc_zeroed` relies on zeros.
    fn resize(next: &AtomicUsize, start: usize, old: usize, new: usize) -> bool {
        new <= old
            || start.checked_add(new).is_some_and(|end| {
                end <= ARENA_BYTES
                    && next
                        .compare_exchange(start + old, end, Ordering::Relaxed, Ordering::Relaxed)
                        .is_ok()
            })
    }

    #[inline]
    fn is_arenas(pointer: *mut u8) -> bool {
        (pointer as usize).wrapping_sub(ARENA.0.get() as usize) < ARENA_BYTES
    }

    // JUSTIFICATION: a global allocator is unsafe by its trait.
    // SAFETY: until the arena is `settled` blocks come from the arena, disjoint (see `bump`),
    // aligned and in bounds; a block of the arena is recognised by its address and never reaches
    // mimalloc; everything else is mimalloc's from first to last.
    unsafe impl GlobalAlloc for Early {
        #[inline]
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            if !SETTLED.load(Ordering::Acquire) {
                if let Some(pointer) = Self::bump(layout) {
                    return pointer;
                }
                if !SETTLED.load(Ordering::Acquire) {
                    return std::ptr::null_mut(); // no memory: no thread for `set_up_elsewhere`
                }
            }
            // JUSTIFICATION: as for the trait.
            // SAFETY: the caller's promise is passed on.
            unsafe { MiMalloc.alloc(layout) }
        }

        #[inline]
        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            if !SETTLED.load(Ordering::Acquire) {
                if let Some(pointer) = Self::bump(layout) {
                    return pointer; // .bss, and never handed out before
                }
                if !SETTLED.load(Ordering::Acquire) {
                    return std::ptr::null_mut();
                }
            }
            // JUSTIFICATION: as for the trait.
            // SAFETY: the caller's promise is passed on.
            unsafe { MiMalloc.alloc_zeroed(layout) }
        }

        #[inline]
        unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
            if !is_arenas(pointer) {
                // JUSTIFICATION: as for the trait.
                // SAFETY: not the arena's, so mimalloc's, with the layout it was made with.
                unsafe { MiMalloc.dealloc(pointer, layout) };
            }
        }

        #[inline]
        unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
            if !is_arenas(pointer) {
                // JUSTIFICATION: as for the trait.
                // SAFETY: as in `dealloc`.
                return unsafe { MiMalloc.realloc(pointer, layout, new_size) };
            }
            if resize(&NEXT, pointer as usize - ARENA.0.get() as usize, layout.size(), new_size) {
                return pointer;
            }
            // JUSTIFICATION: as for the trait.
            // SAFETY: the caller promises a valid size for this alignment; the copy stays within
            // both blocks, which are disjoint.
            unsafe {
                let moved = self.alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
                if !moved.is_null() {
                    std::ptr::copy_nonoverlapping(pointer, moved, layout.size().min(new_size));
                }
                moved
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::{ARENA_BYTES, hand_out, resize};
        use std::alloc::Layout;
        use std::sync::atomic::{AtomicUsize, Ordering};

        /// Regression: `alloc_zeroed` handed out bytes that a vector had left behind when it became
        /// smaller.
        #[test]
        fn what_was_handed_out_is_not_handed_out_again() {
            let next = AtomicUsize::new(0);
            let layout = |size| Layout::from_size_align(size, 1).unwrap();
            let first = hand_out(&next, 0, layout(64)).unwrap();
            assert!(resize(&next, first, 64, 8), "a block may become smaller where it lies");
            let second = hand_out(&next, 0, layout(32)).unwrap();
            assert!(second >= first + 64, "block at {second} holds bytes of the one at {first}");
            assert!(
                resize(&next, second, 32, 100) && next.load(Ordering::Relaxed) == second + 100,
                "the last one grows"
            );
            assert!(!resize(&next, first, 8, 9), "another one does not");
            assert!(
                !resize(&next, second, 100, ARENA_BYTES) && !resize(&next, second, 100, usize::MAX)
            );
            assert_eq!(hand_out(&next, 0, layout(ARENA_BYTES)), None);
        }

        #[test]
        fn memory_survives_the_change_of_allocators() {
            let mut kept: Vec<Vec<u8>> = (0..100u8).map(|n| vec![n; 100]).collect();
            super::settle();
            for (n, vector) in kept.iter_mut().enumerate() {
                vector.resize(1000, n as u8);
                assert!(vector.iter().all(|byte| *byte == n as u8));
            }
        }
    }
}
