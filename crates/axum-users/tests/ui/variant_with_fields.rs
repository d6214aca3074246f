#[derive(Clone, axum_users::ColumnValue)]
enum Plan {
    Free,
    Paid(u32),
}

fn main() {}
