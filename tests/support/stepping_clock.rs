//! A wall clock that steps when a test says so, for one process: it stands in for `clock_gettime` by `LD_PRELOAD`.
//!
//! Built by `rustc` from the tests, with nothing but `std`. The nanoseconds to add are the first eight bytes of a file,
//! which the test writes and this maps. The monotonic clocks stay as they are.

#![allow(unsafe_op_in_unsafe_fn)]

use std::ffi::{CString, c_char, c_int, c_long, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

#[repr(C)]
pub struct Timespec {
    seconds: i64,
    nanos: i64,
}

const REALTIME: c_int = 0;
const REALTIME_COARSE: c_int = 5;
const SECOND: i64 = 1_000_000_000;

#[cfg(target_arch = "x86_64")]
const CLOCK_GETTIME: c_long = 228;
#[cfg(target_arch = "aarch64")]
const CLOCK_GETTIME: c_long = 113;

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    fn mmap(at: *mut c_void, length: usize, rights: c_int, flags: c_int, file: c_int, from: i64) -> *mut c_void;
}

/// Where the file is mapped; zero where there is none.
fn mapped() -> usize {
    static MAPPED: OnceLock<usize> = OnceLock::new();
    *MAPPED.get_or_init(|| {
        let path = std::env::var("CAMPANILE_TEST_CLOCK").ok().and_then(|path| CString::new(path).ok());
        let Some(path) = path else { return 0 };
        // SAFETY: the path ends with a zero, and the file, which is never cut, has eight bytes.
        unsafe {
            let file = open(path.as_ptr(), 0);
            let at = mmap(std::ptr::null_mut(), 8, 1, 1, file, 0);
            if at as isize == -1 { 0 } else { at as usize }
        }
    })
}

/// # Safety
/// As that of libc.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int {
    let failed = syscall(CLOCK_GETTIME, clock, time);
    let at = mapped();
    if failed == 0 && at != 0 && (clock == REALTIME || clock == REALTIME_COARSE) {
        let offset = (*(at as *const AtomicI64)).load(Ordering::Relaxed);
        let nanos = (*time).seconds * SECOND + (*time).nanos + offset;
        (*time).seconds = nanos.div_euclid(SECOND);
        (*time).nanos = nanos.rem_euclid(SECOND);
    }
    failed as c_int
}
