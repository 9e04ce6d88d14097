//! `get` once: asks, and prints what is there.

use futures::future::join_all;
use kube::api::DynamicObject;

use super::format::Format;
use super::{Query, Style, overview, rows};
use crate::cluster::{Cluster, ClusterError, Scope, hint, together};
use crate::context::Context;
use crate::error::Error;
use crate::kind::Kind;
use crate::output;
use crate::output::table::Table;

/// The objects of a kind, or those of the names.
///
/// # Errors
/// If there are none, or one of the names is missing.
pub(super) async fn one(
    query: &Query<'_>,
    kind: Kind,
    names: &[String],
    show_source: bool,
    context: &Context,
) -> Result<(), Error> {
    let cluster = context.cluster().await?;
    let mut objects = named(query, kind, names, &cluster).await?;
    let missing = missing(names, &objects);
    query.keep(&mut objects);
    if objects.is_empty() && missing.is_none() {
        return Err(Error::input(format!(
            "no {} objects found in {} namespace",
            kind.name(),
            query.place()
        )));
    }
    if !objects.is_empty() {
        let text = match &query.format {
            Some(format) if !Format::is_table(Some(format)) => {
                let single = names.len() == 1;
                format.render(vec![(kind, objects)], single, query.with_headers)?
            }
            _ => of_kind(query, kind, &objects, query.style(false, show_source)),
        };
        output::data(&text)?;
    }
    match missing {
        None => Ok(()),
        Some(name) => Err(not_found(query, kind, name, &cluster).await),
    }
}

/// Objects named as `kind/name`. What is missing does not hide the others.
///
/// # Errors
/// If one of them is missing.
pub(super) async fn mixed(
    query: &Query<'_>,
    wanted: &[(Kind, Vec<String>)],
    context: &Context,
) -> Result<(), Error> {
    if let [(kind, names)] = wanted {
        return one(query, *kind, names, false, context).await;
    }
    let cluster = context.cluster().await?;
    let asked = wanted
        .iter()
        .map(|(kind, names)| named(query, *kind, names, &cluster));
    let mut found = Vec::new();
    let mut failures = Vec::new();
    for ((kind, names), answer) in wanted.iter().zip(join_all(asked).await) {
        let mut objects = answer?;
        if let Some(name) = missing(names, &objects) {
            failures.push(not_found(query, *kind, name, &cluster).await);
        }
        query.keep(&mut objects);
        found.push((*kind, objects));
    }
    print(query, found)?;
    crate::commands::which::report(failures)
}

/// Several kinds in one go. A kind that cannot be read does not hide the others, but it makes the
/// command fail.
///
/// # Errors
/// If a kind cannot be read.
pub(super) async fn several(
    query: &Query<'_>,
    kinds: &[Kind],
    context: &Context,
) -> Result<(), Error> {
    let cluster = context.cluster().await?;
    let mut found = Vec::new();
    let mut failures = Vec::new();
    let answers = cluster.list_each(kinds, query.scope, query.selection());
    for (kind, answer) in answers.await {
        match answer {
            Ok(mut objects) => {
                query.keep(&mut objects);
                if !objects.is_empty() {
                    found.push((kind, objects));
                }
            }
            Err(error) => failures.push(error),
        }
    }
    // A program that reads the answer gets an empty list.
    if found.is_empty() && failures.is_empty() && Format::is_table(query.format.as_ref()) {
        output::note(format!(
            "No Flux objects found in {} namespace.",
            query.place()
        ));
        return Ok(());
    }
    print(query, found)?;
    report(failures)
}

async fn named(
    query: &Query<'_>,
    kind: Kind,
    names: &[String],
    cluster: &Cluster,
) -> Result<Vec<DynamicObject>, Error> {
    let mut objects = match (names, query.scope, query.labels) {
        // Whoever may read an object may not be allowed to list.
        ([name], Scope::Namespace(namespace), None) if query.fields.is_none() => {
            Vec::from_iter(cluster.find(kind, namespace, name).await?)
        }
        _ => cluster.list(kind, query.scope, query.selection()).await?,
    };
    if !names.is_empty() {
        objects.retain(|object| {
            let name = object.metadata.name.as_ref();
            name.is_some_and(|name| names.contains(name))
        });
    }
    Ok(objects)
}

fn missing<'n>(names: &'n [String], objects: &[DynamicObject]) -> Option<&'n String> {
    names.iter().find(|name| {
        !objects
            .iter()
            .any(|object| object.metadata.name.as_ref() == Some(*name))
    })
}

async fn not_found(query: &Query<'_>, kind: Kind, name: &str, cluster: &Cluster) -> Error {
    let elsewhere = match query.scope {
        Scope::All => Vec::new(),
        Scope::Namespace(_) => cluster.namespaces_with(kind, name).await,
    };
    Error::input(format!(
        "{} object '{name}' not found in {} namespace{}",
        kind.name(),
        query.place(),
        hint(&elsewhere)
    ))
}

fn print(query: &Query<'_>, found: Vec<(Kind, Vec<DynamicObject>)>) -> Result<(), Error> {
    let is_empty = found.iter().all(|(_, objects)| objects.is_empty());
    if is_empty && Format::is_table(query.format.as_ref()) {
        return Ok(());
    }
    let text = match &query.format {
        Some(format) if !Format::is_table(Some(format)) => {
            format.render(found, false, query.with_headers)?
        }
        _ => {
            let style = query.style(true, false);
            let mut table = Table::new(overview::headers(style)).for_output();
            for (kind, objects) in &found {
                for object in objects {
                    table.push(overview::row(*kind, object, style));
                }
            }
            table.render(query.with_headers)
        }
    };
    output::data(&text)
}

fn of_kind(query: &Query<'_>, kind: Kind, objects: &[DynamicObject], style: Style) -> String {
    let mut table = Table::new(rows::headers(kind, style)).for_output();
    for object in objects {
        table.push(rows::row(kind, object, style));
    }
    table.render(query.with_headers)
}

/// Reports the failures; what all kinds failed for is said once. The last is for the caller.
fn report(failures: Vec<ClusterError>) -> Result<(), Error> {
    let mut failures = together(failures);
    let Some(last) = failures.pop() else {
        return Ok(());
    };
    failures.iter().for_each(output::failure);
    Err(last.into())
}
