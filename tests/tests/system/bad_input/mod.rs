//! What the operator makes of wrong input: the Ready condition says what is wrong, where, and what
//! to do; everything else in the cluster goes on; nothing is lost; what is put right heals.
//!
//! One cluster with one operator for all of it ([`cluster`]), apart from [`Env::shared`]: an operator
//! works on everything in its cluster.
//!
//! [`Env::shared`]: flux_tests::env::Env::shared

mod build_steps;
mod cluster;
mod content;
mod deletion;
mod foreign;
mod git_access;
mod git_push;
mod health;
mod history;
mod images;
mod manifests;
mod markers;
mod moves;
mod ordering;
mod ownership;
mod pull_requests;
mod replacing;
mod requests;
mod restart;
mod scene;
mod shared_namespace;
mod signatures;
mod sources;
mod terminating;
mod updates;
mod updating;
mod versions;
mod waiting;
