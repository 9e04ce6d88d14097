//! Tables in Flux's layout: upper-case headers, cells padded to the column and joined by tabs.

use std::fmt::Write;

use super::color::{self, Color, paint};

/// Rows under headers; a cell may have several lines.
pub(crate) struct Table {
    headers: Vec<String>,
    rows: Vec<Vec<String>>,
    is_colored: bool,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new<S: AsRef<str>>(headers: impl IntoIterator<Item = S>) -> Self {
        let headers = headers
            .into_iter()
            .map(|header| header.as_ref().to_uppercase())
            .collect();
        Self {
            headers,
            rows: Vec::new(),
            is_colored: false,
        }
    }

    /// The same table for standard output, where states have colours if that has any.
    pub(crate) fn for_output(self) -> Self {
        Self {
            is_colored: color::on_output(),
            ..self
        }
    }

    /// Appends a row; it has one cell per header.
    pub(crate) fn push(&mut self, row: Vec<String>) {
        debug_assert_eq!(row.len(), self.headers.len(), "one cell per column");
        self.rows.push(row);
    }

    /// The text of the table, every line ended.
    pub(crate) fn render(&self, with_headers: bool) -> String {
        self.render_aligned(with_headers, &mut Vec::new())
    }

    /// Like [`Table::render`], with columns at least as wide as `widths` says, which afterwards
    /// holds the widths used. Rows that come later line up with those before them.
    pub(crate) fn render_aligned(&self, with_headers: bool, widths: &mut Vec<usize>) -> String {
        let rows: Vec<Vec<Vec<&str>>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(|cell| lines(cell)).collect())
            .collect();
        *widths = self
            .headers
            .iter()
            .enumerate()
            .map(|(column, header)| {
                let header = if with_headers { width(header) } else { 0 };
                let header = header.max(widths.get(column).copied().unwrap_or_default());
                rows.iter()
                    .filter_map(|row| row.get(column))
                    .flatten()
                    .map(|line| width(line))
                    .fold(header, usize::max)
            })
            .collect();

        let mut text = String::new();
        if with_headers {
            // The header line ends with a space where the rows have a tab: that is Flux's renderer,
            // and its users compare bytes.
            let cells: Vec<String> = self.headers.iter().zip(widths.iter()).map(pad).collect();
            text.push_str(&cells.join("\t"));
            text.push_str(" \n");
        }
        for row in &rows {
            let height = row.iter().map(Vec::len).max().unwrap_or_default();
            for line in 0..height {
                for ((cell, width), header) in row.iter().zip(widths.iter()).zip(&self.headers) {
                    let part = cell.get(line).copied().unwrap_or_default();
                    let mut padded = pad((&part, width));
                    if let Some(color) = meaning(header, part) {
                        padded = paint(&padded, color, self.is_colored);
                    }
                    // Writing to a String cannot fail.
                    let _ = write!(text, "{padded}\t");
                }
                text.push('\n');
            }
        }
        text
    }
}

/// The colour of a cell that tells a state.
fn meaning(header: &str, cell: &str) -> Option<Color> {
    match (header, cell) {
        ("READY", "True") => Some(Color::Green),
        ("READY", "False") => Some(Color::Red),
        ("READY", "Unknown") | ("TYPE", "Warning") => Some(Color::Yellow),
        ("SUSPENDED", text) if text.starts_with("True") => Some(Color::Yellow),
        _ => None,
    }
}

/// Lines of a cell; an empty cell has one.
fn lines(cell: &str) -> Vec<&str> {
    let lines: Vec<&str> = cell.lines().collect();
    if lines.is_empty() { vec![""] } else { lines }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn pad<S: AsRef<str>>((text, width): (&S, &usize)) -> String {
    format!("{:<width$}", text.as_ref(), width = *width)
}

#[cfg(test)]
mod tests {
    use super::Table;

    fn sources() -> Table {
        let mut table = Table::new(["Name", "Revision", "Suspended", "Ready", "Message"]);
        for name in ["podinfo", "podinfo-shard1"] {
            table.push(
                [
                    name,
                    "main@sha1:696f056d",
                    "False",
                    "True",
                    "Fetched revision: main@sha1:696f056d",
                ]
                .map(str::to_owned)
                .to_vec(),
            );
        }
        table
    }

    #[test]
    fn bytes_of_a_table() {
        assert_eq!(
            sources().render(true),
            "NAME          \tREVISION          \tSUSPENDED\tREADY\tMESSAGE                              \n\
             podinfo       \tmain@sha1:696f056d\tFalse    \tTrue \tFetched revision: main@sha1:696f056d\t\n\
             podinfo-shard1\tmain@sha1:696f056d\tFalse    \tTrue \tFetched revision: main@sha1:696f056d\t\n"
        );
    }

    #[test]
    fn without_headers_columns_shrink_to_their_cells() {
        assert_eq!(
            sources().render(false),
            "podinfo       \tmain@sha1:696f056d\tFalse\tTrue\tFetched revision: main@sha1:696f056d\t\n\
             podinfo-shard1\tmain@sha1:696f056d\tFalse\tTrue\tFetched revision: main@sha1:696f056d\t\n"
        );
    }

    #[test]
    fn later_rows_line_up() {
        let mut widths = Vec::new();
        sources().render_aligned(true, &mut widths);
        let mut later = Table::new(["Name", "Revision", "Suspended", "Ready", "Message"]);
        later.push(["x", "y", "z", "a", "b"].map(str::to_owned).to_vec());
        let text = later.render_aligned(false, &mut widths);
        let columns: Vec<usize> = text.trim_end().split('\t').map(str::len).collect();
        assert_eq!(columns[..4], widths[..4]);
    }

    #[test]
    fn a_cell_of_several_lines_keeps_its_column() {
        let mut table = Table::new(["object", "message"]);
        table.push(vec!["ks/a".into(), "one\ntwo".into()]);
        table.push(vec!["ks/b".into(), String::new()]);
        assert_eq!(
            table.render(true),
            "OBJECT\tMESSAGE \nks/a  \tone    \t\n      \ttwo    \t\nks/b  \t       \t\n"
        );
    }

    #[test]
    fn states_have_colours_and_columns_stay() {
        let mut table = Table::new(["Ready", "Message"]);
        table.is_colored = true;
        table.push(vec!["False".to_owned(), "False".to_owned()]);
        table.push(vec!["True".to_owned(), String::new()]);
        assert_eq!(
            table.render(true),
            "READY\tMESSAGE \n\u{1b}[31mFalse\u{1b}[0m\tFalse  \t\n\
             \u{1b}[32mTrue \u{1b}[0m\t       \t\n"
        );
    }
}
