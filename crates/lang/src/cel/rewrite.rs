//! Operators that the library carries out otherwise than Kubernetes, and what stands in their place:
//!
//! - the optional field, `status.?phase`, which fails where the field is missing; its optional index,
//!   `status[?'phase']`, means the same and does not;
//! - comparisons, for which numbers of two types never are equal: functions of [`super::compare`].

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, operators};

use super::compare;

/// Replaces the operators of an expression.
pub(super) fn replace(expression: &mut IdedExpr) {
    match &mut expression.expr {
        Expr::Call(call) => {
            if call.func_name == operators::OPT_SELECT {
                operators::OPT_INDEX.clone_into(&mut call.func_name);
            } else if let Some(function) = compare::function(&call.func_name) {
                function.clone_into(&mut call.func_name);
            }
            call.target.iter_mut().for_each(|one| replace(one));
            call.args.iter_mut().for_each(replace);
        }
        Expr::Comprehension(parts) => {
            replace(&mut parts.iter_range);
            replace(&mut parts.accu_init);
            replace(&mut parts.loop_cond);
            replace(&mut parts.loop_step);
            replace(&mut parts.result);
        }
        Expr::List(list) => list.elements.iter_mut().for_each(replace),
        Expr::Select(select) => replace(&mut select.operand),
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
        EntryExpr::StructField(field) => replace(&mut field.value),
        EntryExpr::MapEntry(entry) => {
            replace(&mut entry.key);
            replace(&mut entry.value);
        }
    }
}
