//! Tables, as text and as Markdown.

/// A table. Its first columns, up to the first one whose cells begin with digits, are aligned to the left.
#[derive(Debug)]
pub(crate) struct Table {
    caption: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(caption: &str, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|&name| name.to_owned()).collect();
        Self { caption: caption.to_owned(), columns, rows: Vec::new() }
    }

    /// Adds a row, with a cell for each column.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        assert_eq!(N, self.columns.len(), "the number of cells of a row of `{}`", self.caption);
        self.rows.push(cells.to_vec());
    }

    /// The table with its columns side by side.
    pub(crate) fn text(&self) -> String {
        let length = |text: &str| text.chars().count();
        let widths = self.columns.iter().enumerate().map(|(column, name)| {
            let cells = self.rows.iter().map(|row| length(&row[column]));
            cells.chain([length(name)]).max().unwrap_or_default()
        });
        let widths: Vec<usize> = widths.collect();
        let line = |cells: &[String]| {
            let mut line = String::new();
            for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
                let space = " ".repeat(width - length(cell));
                let (before, after) =
                    if self.is_number(column) { (space.as_str(), "") } else { ("", space.as_str()) };
                line.push_str(&format!("{before}{cell}{after}  "));
            }
            line.trim_end().to_owned() + "\n"
        };
        let rows = self.rows.iter().map(|row| line(row));
        format!("{}:\n", self.caption) + &line(&self.columns) + &rows.collect::<String>()
    }

    pub(super) fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule: Vec<String> = (0..self.columns.len())
            .map(|column| if self.is_number(column) { "---:" } else { "---" }.to_owned())
            .collect();
        let rows = self.rows.iter().map(|row| {
            let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
            line(&cells)
        });
        format!("{}:\n\n", self.caption) + &line(&self.columns) + &line(&rule) + &rows.collect::<String>()
    }

    /// Whether all cells of a column are numbers, or missing ones.
    fn is_number(&self, column: usize) -> bool {
        let is_number = |cell: &str| {
            cell == "–" || cell.starts_with(|first: char| first.is_ascii_digit() || first == '−')
        };
        !self.rows.is_empty() && self.rows.iter().all(|row| is_number(&row[column]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new("Speeds", &["client", "tasks/s"]);
        table.row(["bare".to_owned(), "12,345".to_owned()]);
        table.row(["a|b".to_owned(), "–".to_owned()]);
        table
    }

    #[test]
    fn text_is_aligned() {
        let wanted = "Speeds:\nclient  tasks/s\nbare     12,345\na|b           –\n";
        assert_eq!(table().text(), wanted);
    }

    #[test]
    fn markdown_says_which_columns_are_numbers() {
        let wanted = "Speeds:\n\n| client | tasks/s |\n| --- | ---: |\n| bare | 12,345 |\n| a\\|b | – |\n";
        assert_eq!(table().markdown(), wanted);
    }
}
