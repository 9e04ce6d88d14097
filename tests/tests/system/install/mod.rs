//! `install`, `uninstall` and `bootstrap` on an API server of their own: they change what the whole
//! cluster shares.

mod bootstrap;
mod conflicts;
mod cut_short;
mod cycle;
mod definitions;
mod disturbances;
mod github;
mod give_back;
mod layouts;
mod pods;
mod scene;
mod shards;
mod signed;
mod split;
mod takeover;
mod upgrade;
