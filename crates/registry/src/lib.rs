//! Tags and digests of an image registry.
//!
//! The two questions that image automation asks of a registry, over the OCI distribution
//! protocol: which tags does a repository have ([`Client::tags`]), and what is the digest of one
//! of them ([`Client::digest`]). Layers, configurations and pushes are not its business.
//!
//! Everything a registry sends is bounded (bytes, pages, time), and an error says which host and
//! repository it is about and what to change, never a credential.
//!
//! The process must have installed a rustls crypto provider before [`Client::new`].

mod challenge;
mod client;
mod credentials;
mod error;
mod link;
mod reference;
mod retry;
mod session;
mod tags;
mod token;
mod transport;

pub use client::{Client, ClientOptions};
pub use credentials::{Credentials, CredentialsError};
pub use error::RegistryError;
pub use reference::{Reference, ReferenceError};
pub use tags::{Difference, Tags};
pub use transport::Proxy;
