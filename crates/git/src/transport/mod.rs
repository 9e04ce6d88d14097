//! The transports that libgit2 fetches with: ssh and smart HTTP on our own clients.
//!
//! libgit2 knows transports by URL scheme for the whole process and hands the factory nothing but
//! the remote. The session of the call in progress is therefore a thread local, set around each
//! call: libgit2 runs transports on the calling thread.

mod http;
mod ssh;

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

use git2::transport::{Service, Transport};

use crate::session::Session;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Session>>> = const { RefCell::new(None) };
}

/// Runs a call into libgit2 with a session for its transports.
pub(crate) fn with_session<T>(session: &Arc<Session>, call: impl FnOnce() -> T) -> T {
    /// Clears the thread local also when the call unwinds.
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            CURRENT.take();
        }
    }
    CURRENT.set(Some(session.clone()));
    let _reset = Reset;
    call()
}

fn current() -> Result<Arc<Session>, git2::Error> {
    CURRENT
        .with_borrow(Clone::clone)
        .ok_or_else(|| git2::Error::from_str("no session for this call"))
}

/// Memory for unpacked objects that libgit2 keeps, instead of 256 MiB.
const OBJECT_CACHE: isize = 8 << 20;
/// How much of a pack is mapped at once, instead of 1 GiB.
const PACK_WINDOW: usize = 8 << 20;
/// How much of all packs is mapped at once, instead of 8 GiB.
const PACK_WINDOWS: usize = 64 << 20;

/// Prepares libgit2 for this process, once.
///
/// # Errors
/// What libgit2 says; the same each time.
pub(crate) fn register() -> Result<(), String> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    DONE.get_or_init(|| prepare().map_err(|error| error.message().to_owned()))
        .clone()
}

#[expect(
    unsafe_code,
    reason = "libgit2's process-wide settings have no safe form"
)]
fn prepare() -> Result<(), git2::Error> {
    // SAFETY: these functions change global state of libgit2 and must not run while other threads
    // use it. All use of libgit2 in this crate comes after `register`, which runs this once.
    unsafe {
        git2::transport::register("ssh", |remote| {
            Transport::smart(remote, false, ssh::Ssh::new(current()?))
        })?;
        for scheme in ["http", "https"] {
            git2::transport::register(scheme, |remote| {
                Transport::smart(remote, true, http::Http::new(current()?))
            })?;
        }
        // What a mirror does must not depend on somebody's ~/.gitconfig or /etc/gitconfig.
        for level in [
            git2::ConfigLevel::ProgramData,
            git2::ConfigLevel::System,
            git2::ConfigLevel::XDG,
            git2::ConfigLevel::Global,
        ] {
            git2::opts::set_search_path(level, "")?;
        }
        // Volumes in clusters often belong to another user than the process.
        git2::opts::set_verify_owner_validation(false)?;
        git2::opts::set_cache_max_size(OBJECT_CACHE)?;
        git2::opts::set_mwindow_size(PACK_WINDOW)?;
        git2::opts::set_mwindow_mapped_limit(PACK_WINDOWS)?;
    }
    Ok(())
}

/// Whether a service is the listing of refs. libgit2 only fetches here: pushes are
/// [`crate::sendpack`]'s.
fn is_listing(service: Service) -> Result<bool, git2::Error> {
    match service {
        Service::UploadPackLs => Ok(true),
        Service::UploadPack => Ok(false),
        Service::ReceivePackLs | Service::ReceivePack => {
            Err(git2::Error::from_str("this transport does not push"))
        }
    }
}

/// Leaves the typed error in the session; libgit2 only gets to know that there was one.
fn report(session: &Session, error: crate::error::GitError) -> std::io::Error {
    let text = error.to_string();
    session.fail(error);
    std::io::Error::other(text)
}
