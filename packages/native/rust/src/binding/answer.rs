//! What a call answers, or throws.

use napi_sys as sys;
use std::ffi::CString;
use std::ptr;

/// What JavaScript gets back.
pub enum Answer {
    Nothing,
    Flag(bool),
    Number(f64),
    Text(String),
}

/// What JavaScript gets thrown. Nothing in it is secret.
#[derive(Debug)]
pub enum Fault {
    /// An argument of the wrong type: TypeError.
    Type(&'static str),
    /// A number, or a length, out of its range: RangeError.
    Range(&'static str),
    /// A key that was wiped, or never was: Error with code "ERR_USMP_STALE_KEY".
    Stale,
    /// The system refused: Error whose code is the errno as a decimal number.
    System(i32),
    /// A bug of this addon, or a library that failed where it cannot.
    Internal,
}

impl Answer {
    /// # Safety
    /// `env` is alive.
    pub(super) unsafe fn give(self, env: sys::napi_env) -> sys::napi_value {
        let mut value = ptr::null_mut();
        // SAFETY: as this function's. A null value, when Node refuses, is undefined in JavaScript.
        unsafe {
            match self {
                Answer::Nothing => 0,
                Answer::Flag(flag) => sys::napi_get_boolean(env, flag, &mut value),
                Answer::Number(number) => sys::napi_create_double(env, number, &mut value),
                Answer::Text(text) => {
                    let length = text.len() as isize;
                    sys::napi_create_string_utf8(env, text.as_ptr().cast(), length, &mut value)
                }
            };
        }
        value
    }
}

impl Fault {
    /// # Safety
    /// `env` is alive.
    pub(super) unsafe fn throw(self, env: sys::napi_env) -> sys::napi_value {
        let (code, message) = match &self {
            Fault::Type(message) => ("ERR_INVALID_ARG_TYPE".to_owned(), *message),
            Fault::Range(message) => ("ERR_OUT_OF_RANGE".to_owned(), *message),
            Fault::Stale => ("ERR_USMP_STALE_KEY".to_owned(), "these keys were wiped"),
            Fault::System(errno) => (errno.to_string(), "the system call failed"),
            Fault::Internal => ("ERR_USMP_INTERNAL".to_owned(), "the native addon failed"),
        };
        let code = CString::new(code).unwrap_or_default();
        let message = CString::new(message).unwrap_or_default();
        // SAFETY: as this function's; Node copies both strings.
        unsafe {
            match self {
                Fault::Type(_) => sys::napi_throw_type_error(env, code.as_ptr(), message.as_ptr()),
                Fault::Range(_) => sys::napi_throw_range_error(env, code.as_ptr(), message.as_ptr()),
                _ => sys::napi_throw_error(env, code.as_ptr(), message.as_ptr()),
            };
        }
        ptr::null_mut()
    }
}
