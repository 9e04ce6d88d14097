//! The rules, one folder per kind, one file per thing that people get wrong.

mod any;
mod git_repository;
mod image_access;
mod image_policy;
mod image_repository;
mod image_update_automation;
mod ingress;
mod kustomization;
mod source_ref;

use crate::rule::Rule;

pub(crate) use image_policy::pattern::forget as forget_pattern;
pub(crate) use ingress::view as ingress_view;

/// All rules in the order of the catalogue.
pub(crate) static GROUPS: &[&[Rule]] = &[
    git_repository::url::RULES,
    git_repository::credentials::RULES,
    git_repository::reference::RULES,
    git_repository::timing::RULES,
    git_repository::content::RULES,
    git_repository::secrets::RULES,
    image_repository::RULES,
    image_access::RULES,
    image_policy::choice::RULES,
    image_policy::versions::RULES,
    image_policy::filter::RULES,
    image_policy::keys::RULES,
    image_policy::preview::RULES,
    image_policy::digest::RULES,
    image_update_automation::git::RULES,
    image_update_automation::template::RULES,
    image_update_automation::source::RULES,
    image_update_automation::policies::RULES,
    kustomization::build::RULES,
    kustomization::order::RULES,
    kustomization::timing::RULES,
    kustomization::references::RULES,
    kustomization::others::RULES,
    ingress::class::RULES,
    ingress::rewrite::RULES,
    ingress::path::RULES,
    ingress::backend::RULES,
    ingress::annotations::RULES,
    ingress::traffic::RULES,
    ingress::neighbours::RULES,
    any::RULES,
];

#[cfg(test)]
mod tests;
