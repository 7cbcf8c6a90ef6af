//! Conditions of a query: only what is asked for stands in it, so that the planner may use an index.

use tokio_postgres::types::ToSql;

/// A value of a query.
pub(super) type Parameter<'a> = &'a (dyn ToSql + Sync);

/// What comes after `from`: joins, conditions, order, with the values that stand in it.
#[derive(Debug)]
pub(super) struct Clause<'a> {
    sql: String,
    parameters: Vec<Parameter<'a>>,
    has_condition: bool,
}

impl<'a> Clause<'a> {
    /// Only joins, or nothing.
    pub(super) fn new(joins: &str) -> Self {
        Self { sql: joins.to_owned(), parameters: vec![], has_condition: false }
    }

    /// A condition that holds always.
    pub(super) fn and(mut self, condition: &str) -> Self {
        self.sql.push_str(if self.has_condition { " and " } else { " where " });
        self.sql.push_str(condition);
        self.has_condition = true;
        self
    }

    /// A condition about a value, which stands in it as `$`.
    pub(super) fn and_value(mut self, condition: &str, value: Parameter<'a>) -> Self {
        self.parameters.push(value);
        let place = format!("${}", self.parameters.len());
        self.and(&condition.replace('$', &place))
    }

    /// The same, where there is a value.
    pub(super) fn and_some<T: ToSql + Sync>(self, condition: &str, value: Option<&'a T>) -> Self {
        match value {
            Some(value) => self.and_value(condition, value),
            None => self,
        }
    }

    /// The order, and how many rows there are at most.
    pub(super) fn end(mut self, order: &str, limit: &'a i64) -> Self {
        self.parameters.push(limit);
        let place = self.parameters.len();
        self.sql.push_str(&format!(" order by {order} limit ${place}::bigint"));
        self
    }

    /// The order alone.
    pub(super) fn ordered(mut self, order: &str) -> Self {
        self.sql.push_str(&format!(" order by {order}"));
        self
    }

    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    pub(super) fn parameters(&self) -> &[Parameter<'a>] {
        &self.parameters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_stands_in_the_query() {
        let (name, none, limit) = ("a".to_owned(), None::<&String>, 5);
        let clause = Clause::new(" left join b on true")
            .and_some("name = $", Some(&name))
            .and_some("kind = $", none)
            .and("active")
            .end("id desc", &limit);
        let sql =
            " left join b on true where name = $1 and active order by id desc limit $2::bigint";
        assert_eq!((clause.sql(), clause.parameters().len()), (sql, 2));
    }
}
