//! The optional field, `status.?phase`, which the library fails on where the field is missing. Its
//! optional index, `status[?'phase']`, means the same and does not.

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, operators};

/// Turns optional fields into optional indices.
pub(super) fn fields_to_indices(expression: &mut IdedExpr) {
    match &mut expression.expr {
        Expr::Call(call) => {
            if call.func_name == operators::OPT_SELECT {
                operators::OPT_INDEX.clone_into(&mut call.func_name);
            }
            call.target
                .iter_mut()
                .for_each(|one| fields_to_indices(one));
            call.args.iter_mut().for_each(fields_to_indices);
        }
        Expr::Comprehension(parts) => {
            fields_to_indices(&mut parts.iter_range);
            fields_to_indices(&mut parts.accu_init);
            fields_to_indices(&mut parts.loop_cond);
            fields_to_indices(&mut parts.loop_step);
            fields_to_indices(&mut parts.result);
        }
        Expr::List(list) => list.elements.iter_mut().for_each(fields_to_indices),
        Expr::Select(select) => fields_to_indices(&mut select.operand),
        Expr::Map(map) => map.entries.iter_mut().for_each(|e| of_entry(&mut e.expr)),
        Expr::Struct(fields) => fields
            .entries
            .iter_mut()
            .for_each(|e| of_entry(&mut e.expr)),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
    }
}

fn of_entry(entry: &mut EntryExpr) {
    match entry {
        EntryExpr::StructField(field) => fields_to_indices(&mut field.value),
        EntryExpr::MapEntry(entry) => {
            fields_to_indices(&mut entry.key);
            fields_to_indices(&mut entry.value);
        }
    }
}
