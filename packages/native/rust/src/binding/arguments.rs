//! The arguments of one call.

use super::Fault;
use napi_sys as sys;
use std::borrow::Cow;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::{ptr, slice};

/// No export takes more.
const MOST: usize = 7;

/// Whole numbers up to this are exact in JavaScript.
const LARGEST_WHOLE: f64 = 9_007_199_254_740_991.0;

/// The arguments of one call, checked as they are asked for. Missing ones are undefined.
pub struct Arguments<'call> {
    env: sys::napi_env,
    values: [sys::napi_value; MOST],
    call: PhantomData<&'call ()>,
}

/// Where a Uint8Array's bytes are. Not yet a slice, so that two of them may overlap.
#[derive(Clone, Copy)]
struct Place {
    start: *mut u8,
    length: usize,
}

impl Arguments<'_> {
    /// # Safety
    /// `env` and `info` are what Node gave to the callback that is running, and the value does not outlive it.
    pub(super) unsafe fn read(env: sys::napi_env, info: sys::napi_callback_info) -> Result<(Self, *mut c_void), Fault> {
        let mut values = [ptr::null_mut(); MOST];
        let mut count = MOST;
        let mut data = ptr::null_mut();
        // SAFETY: `values` has room for `count`; Node fills what is missing with undefined.
        let status = unsafe {
            let first = values.as_mut_ptr();
            sys::napi_get_cb_info(env, info, &mut count, first, ptr::null_mut(), &mut data)
        };
        if status != sys::Status::napi_ok {
            return Err(Fault::Internal);
        }
        Ok((Self { env, values, call: PhantomData }, data))
    }

    /// A whole number from 0 to 2^53 - 1.
    pub fn whole(&self, index: usize) -> Result<u64, Fault> {
        let mut number = 0.0;
        // SAFETY: env and value are of the running call.
        let status = unsafe { sys::napi_get_value_double(self.env, self.values[index], &mut number) };
        if status != sys::Status::napi_ok {
            return Err(Fault::Type("expected a number"));
        }
        if !(0.0..=LARGEST_WHOLE).contains(&number) || number.fract() != 0.0 {
            return Err(Fault::Range("expected a whole number that is not negative"));
        }
        Ok(number as u64)
    }

    pub fn flag(&self, index: usize) -> Result<bool, Fault> {
        let mut flag = false;
        // SAFETY: env and value are of the running call.
        let status = unsafe { sys::napi_get_value_bool(self.env, self.values[index], &mut flag) };
        if status == sys::Status::napi_ok { Ok(flag) } else { Err(Fault::Type("expected a boolean")) }
    }

    /// A string of at most `longest` bytes of UTF-8.
    pub fn text(&self, index: usize, longest: usize) -> Result<String, Fault> {
        let mut bytes = vec![0u8; longest + 2];
        let mut length = 0;
        // SAFETY: env and value are of the running call; Node writes no more than it is told there is room, its final 0 included.
        let status = unsafe {
            let room = bytes.as_mut_ptr().cast();
            sys::napi_get_value_string_utf8(self.env, self.values[index], room, bytes.len(), &mut length)
        };
        if status != sys::Status::napi_ok {
            return Err(Fault::Type("expected a string"));
        }
        bytes.truncate(length);
        if length > longest {
            return Err(Fault::Range("the string is too long"));
        }
        String::from_utf8(bytes).map_err(|_| Fault::Type("expected a string"))
    }

    /// The bytes of a Uint8Array. Borrows all arguments, so that no second slice can reach the same memory.
    pub fn bytes(&mut self, index: usize) -> Result<&mut [u8], Fault> {
        let Place { start, length } = self.place(index)?;
        // SAFETY: the place is alive and ours alone: no JavaScript runs during the call, other threads cannot reach it (it is
        // not shared memory), and &mut self keeps this call from making a second slice.
        Ok(unsafe { slice::from_raw_parts_mut(start, length) })
    }

    /// The bytes of two Uint8Arrays, one to read and one to write. Where they overlap, the first is a copy.
    pub fn input_and_output(&mut self, input: usize, output: usize) -> Result<(Cow<'_, [u8]>, &mut [u8]), Fault> {
        let (input, output) = (self.place(input)?, self.place(output)?);
        // SAFETY: as in bytes(); the copy is made before the second slice exists, and else the two do not overlap.
        unsafe {
            let from = slice::from_raw_parts(input.start, input.length);
            let from = if input.overlaps(output) { Cow::Owned(from.to_vec()) } else { Cow::Borrowed(from) };
            Ok((from, slice::from_raw_parts_mut(output.start, output.length)))
        }
    }

    /// Only Uint8Array (Buffer is one), and only memory of one thread: what another thread can write may not become a slice.
    fn place(&self, index: usize) -> Result<Place, Fault> {
        const WRONG: Fault = Fault::Type("expected a Uint8Array that is not shared memory");
        let (mut kind, mut length, mut start) = (0, 0, ptr::null_mut());
        let (mut buffer, mut unshared) = (ptr::null_mut(), false);
        // SAFETY: env and value are of the running call; Node checks that the value is a typed array.
        let status = unsafe {
            let value = self.values[index];
            let (env, offset) = (self.env, ptr::null_mut());
            let status =
                sys::napi_get_typedarray_info(env, value, &mut kind, &mut length, &mut start, &mut buffer, offset);
            if status == sys::Status::napi_ok { sys::napi_is_arraybuffer(env, buffer, &mut unshared) } else { status }
        };
        if status != sys::Status::napi_ok || kind != sys::TypedarrayType::uint8_array || !unshared {
            return Err(WRONG);
        }
        // A detached or empty array has no address, and a slice must have one.
        if start.is_null() || length == 0 {
            return Ok(Place { start: ptr::NonNull::dangling().as_ptr(), length: 0 });
        }
        Ok(Place { start: start.cast(), length })
    }
}

impl Place {
    fn overlaps(self, other: Self) -> bool {
        let (start, other_start) = (self.start.addr(), other.start.addr());
        start < other_start + other.length && other_start < start + self.length
    }
}
