//! The border to Node: the only module that may be unsafe, because Node-API is C.
//!
//! What it promises to the safe code behind it: arguments are checked for their types; a slice of a Uint8Array lives no longer
//! than the call, during which no JavaScript runs; two slices never overlap; a panic does not cross the border.
#![allow(unsafe_code)]

mod answer;
mod arguments;

pub use answer::{Answer, Fault};
pub use arguments::Arguments;

use napi_sys as sys;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// One function as JavaScript sees it.
pub struct Export {
    pub name: &'static str,
    pub run: fn(&mut Arguments<'_>) -> Result<Answer, Fault>,
}

/// Node calls this once for each environment (the main thread and each worker) that loads the addon.
///
/// # Safety
/// Only Node calls it, with an environment and an object of that environment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn napi_register_module_v1(env: sys::napi_env, exports: sys::napi_value) -> sys::napi_value {
    // SAFETY: looks up Node-API's symbols in this process; the library that it answers with is this process and stays loaded.
    std::mem::forget(unsafe { sys::setup() });
    for export in crate::EXPORTS {
        let mut function = ptr::null_mut();
        let data = ptr::from_ref(export).cast_mut().cast::<c_void>();
        // SAFETY: name and length describe one string; `data` is a static, read only, and outlives every call.
        let status = unsafe {
            let (name, length) = (export.name.as_ptr().cast(), export.name.len() as isize);
            match sys::napi_create_function(env, name, length, Some(call), data, &mut function) {
                sys::Status::napi_ok => define(env, exports, export.name, function),
                failed => failed,
            }
        };
        if status != sys::Status::napi_ok {
            break; // an exception is pending, and the loader falls back to node:crypto
        }
    }
    exports
}

/// # Safety
/// `env`, `exports` and `function` belong together and are alive.
unsafe fn define(
    env: sys::napi_env,
    exports: sys::napi_value,
    name: &str,
    function: sys::napi_value,
) -> sys::napi_status {
    let mut key = ptr::null_mut();
    // SAFETY: as this function's; the string is copied by Node.
    unsafe {
        sys::napi_create_string_utf8(env, name.as_ptr().cast(), name.len() as isize, &mut key);
        sys::napi_set_property(env, exports, key, function)
    }
}

/// Every export's C side.
///
/// # Safety
/// Only Node calls it, for a function that napi_register_module_v1 made: so the data pointer is one of EXPORTS.
unsafe extern "C" fn call(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: as this function's; Arguments reads the data pointer that came with the function.
    let outcome = unsafe { Arguments::read(env, info) }.and_then(|(mut arguments, data)| {
        // SAFETY: `data` is the address of an element of EXPORTS, a static.
        let export = unsafe { &*data.cast::<Export>() };
        catch_unwind(AssertUnwindSafe(|| (export.run)(&mut arguments))).unwrap_or(Err(Fault::Internal))
    });
    // SAFETY: `env` is alive during the call.
    unsafe {
        match outcome {
            Ok(answer) => answer.give(env),
            Err(fault) => fault.throw(env),
        }
    }
}
