//! `get --watch`: the table, and a row for every change.

use std::collections::BTreeSet;

use futures::{StreamExt, pin_mut};
use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::runtime::{WatchStreamExt, watcher};

use super::Query;
use super::format::Format;
use super::rows::{self, Style};
use crate::cluster;
use crate::context::Context;
use crate::error::Error;
use crate::kind::Kind;
use crate::output::{self, table::Table};

/// Follows the objects of a kind until interrupted. Rows keep the columns of those before them, and
/// begin with what happened: ADDED, MODIFIED or DELETED.
pub(super) async fn run(
    query: &Query<'_>,
    kind: Kind,
    names: &[String],
    style: Style,
    context: &Context,
) -> Result<(), Error> {
    let cluster = context.cluster().await?;
    let config = watcher::Config {
        label_selector: query.labels.map(str::to_owned),
        field_selector: query.fields.map(str::to_owned),
        ..watcher::Config::default()
    };
    let changes = watcher(cluster.objects(kind, query.scope), config).default_backoff();
    pin_mut!(changes);

    let mut known: BTreeSet<(String, String)> = BTreeSet::new();
    let mut listed: Vec<DynamicObject> = Vec::new();
    let mut printer = Printer {
        kind,
        style,
        format: query
            .format
            .as_ref()
            .filter(|format| !Format::is_table(Some(format))),
        with_headers: query.with_headers,
        widths: Vec::new(),
    };
    let is_wanted = |object: &DynamicObject| {
        (names.is_empty() || names.contains(&object.name_any())) && query.fits(object)
    };
    let key = |object: &DynamicObject| (object.namespace().unwrap_or_default(), object.name_any());
    while let Some(change) = changes.next().await {
        match change {
            Ok(watcher::Event::Init) => listed.clear(),
            Ok(watcher::Event::InitApply(object)) => listed.push(object),
            Ok(watcher::Event::InitDone) => {
                let rows: Vec<_> = listed
                    .drain(..)
                    .filter(|object| is_wanted(object) && known.insert(key(object)))
                    .map(|object| ("ADDED", object))
                    .collect();
                printer.print(&rows)?;
            }
            Ok(watcher::Event::Apply(object)) => {
                if is_wanted(&object) {
                    let word = match known.insert(key(&object)) {
                        true => "ADDED",
                        false => "MODIFIED",
                    };
                    printer.print(&[(word, object)])?;
                }
            }
            Ok(watcher::Event::Delete(object)) => {
                if known.remove(&key(&object)) {
                    printer.print(&[("DELETED", object)])?;
                }
            }
            Err(error) => output::warning(cluster::chain(&error)),
        }
    }
    Ok(())
}

struct Printer<'a> {
    kind: Kind,
    style: Style,
    /// A form that is not a table of ours.
    format: Option<&'a Format>,
    with_headers: bool,
    widths: Vec<usize>,
}

impl Printer<'_> {
    fn print(&mut self, objects: &[(&str, DynamicObject)]) -> Result<(), Error> {
        if objects.is_empty() {
            return Ok(());
        }
        if let Some(format) = self.format {
            return self.print_as(format, objects);
        }
        let headers = rows::headers(self.kind, self.style);
        let mut table = Table::new(std::iter::once("Event").chain(headers)).for_output();
        for (word, object) in objects {
            let mut row = rows::row(self.kind, object, self.style);
            row.insert(0, (*word).to_owned());
            table.push(row);
        }
        let text = table.render_aligned(self.with_headers, &mut self.widths);
        self.with_headers = false;
        output::data(&text)
    }

    /// Each object by itself, as kubectl does: what reads them gets one after the other.
    fn print_as(
        &mut self,
        format: &Format,
        objects: &[(&str, DynamicObject)],
    ) -> Result<(), Error> {
        for (_, object) in objects {
            let found = vec![(self.kind, vec![object.clone()])];
            let text = format.render(found, true, self.with_headers)?;
            self.with_headers = false;
            let start = if *format == Format::Yaml { "---\n" } else { "" };
            output::data(&format!("{start}{text}"))?;
        }
        Ok(())
    }
}
